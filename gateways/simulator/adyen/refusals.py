"""The texts of Adyen's refusal reasons by their codes. Source:
docs.adyen.com/development-resources/refusal-reasons.
"""

from typing import Final

REFUSALS: Final = {
    "2": "Refused",
    "3": "Referral",
    "4": "Acquirer Error",
    "5": "Blocked Card",
    "6": "Expired Card",
    "7": "Invalid Amount",
    "8": "Invalid Card Number",
    "9": "Issuer Unavailable",
    "10": "Not supported",
    "11": "3D Not Authenticated",
    "12": "Not enough balance",
    "14": "Acquirer Fraud",
    "15": "Cancelled",
    "16": "Shopper Cancelled",
    "20": "FRAUD",
    "22": "FRAUD-CANCELLED",
    "23": "Transaction Not Permitted",
    "24": "CVC Declined",
    "25": "Restricted Card",
    "27": "Declined Non Generic",
    "31": "Issuer Suspected Fraud",
    "32": "AVS Declined",
    "38": "Authentication required",
    "46": "Transaction blocked by Adyen to prevent excessive retry fees",
}

RAW: Final = {
    "2": "05 : Do not honor",
    "3": "01 : Refer to card issuer",
    "5": "62 : Restricted card",
    "6": "54 : Expired card",
    "7": "13 : Invalid amount",
    "8": "14 : Invalid card number",
    "9": "91 : Issuer unavailable",
    "12": "51 : Insufficient funds",
    "23": "57 : Transaction not permitted to cardholder",
    "24": "N7 : Decline for CVV2 failure",
    "25": "62 : Restricted card",
    "27": "05 : Do not honor",
    "31": "59 : Suspected fraud",
    "38": "1A : Additional customer authentication required",
}
"""The issuer's words behind them, as `refusalReasonRaw` shows them. A refusal that is not here is Adyen's own
or the customer's. Source: docs.adyen.com/development-resources/raw-acquirer-responses."""
