"""The GraphQL documents, one for each request. Source: the public schema of 2025-04-29."""

from typing import Final

_MONEY: Final = "amount { value currencyCode }"
_HISTORY: Final = f"""statusHistory {{
    status {_MONEY}
    ... on ProcessorDeclinedEvent {{ declineType processorResponse {{ legacyCode message }}
      networkResponse {{ code }} merchantAdviceCodeResponse {{ code }} }}
    ... on GatewayRejectedEvent {{ gatewayRejectionReason duplicateOf {{ id orderId }} }}
    ... on FailedEvent {{ processorResponse {{ legacyCode message }} }}
    ... on SettlementDeclinedEvent {{ processorResponse {{ legacyCode message }} }}
  }}"""
_TRANSACTION: Final = f"""
fragment Taken on Transaction {{
  id legacyId orderId status {_MONEY}
  {_HISTORY}
}}"""
_REFUND: Final = f"""
fragment Returned on Refund {{
  id legacyId orderId status {_MONEY}
  refundedTransaction {{ id }}
  {_HISTORY}
}}"""
# The sums that were captured and given back, by anybody.
_STANDING: Final = f"""
fragment Standing on Transaction {{
  status {_MONEY}
  statusHistory {{ status }}
  refunds {{ id status {_MONEY} }}
}}"""

AUTHORIZE: Final = f"""mutation Authorize($input: AuthorizePaymentMethodInput!) {{
  authorizePaymentMethod(input: $input) {{ transaction {{ ...Taken }} }}
}}{_TRANSACTION}"""

CHARGE: Final = f"""mutation Charge($input: ChargePaymentMethodInput!) {{
  chargePaymentMethod(input: $input) {{ transaction {{ ...Taken }} }}
}}{_TRANSACTION}"""

CAPTURE: Final = f"""mutation Capture($input: CaptureTransactionInput!) {{
  captureTransaction(input: $input) {{ transaction {{ ...Taken }} }}
}}{_TRANSACTION}"""

REVERSE: Final = f"""mutation Reverse($input: ReverseTransactionInput!) {{
  reverseTransaction(input: $input) {{ reversal {{ __typename ...Taken ...Returned }} }}
}}{_TRANSACTION}{_REFUND}"""

REFUND: Final = f"""mutation Refund($input: RefundTransactionInput!) {{
  refundTransaction(input: $input) {{ refund {{ ...Returned refundedTransaction {{ ...Standing }} }} }}
}}{_REFUND}{_STANDING}"""

_BY_ID: Final = """node(id: $id) {
    __typename ...Taken ...Returned
    ... on Transaction { refunds { ...Returned } }
    ... on Refund { refundedTransaction { ...Standing } }
  }"""

BY_ID: Final = f"""query ById($id: ID!) {{
  {_BY_ID}
}}{_TRANSACTION}{_REFUND}{_STANDING}"""

BY_ID_AND_ORDER_ID: Final = f"""query ByIdAndOrderId($id: ID!, $input: TransactionSearchInput!) {{
  {_BY_ID}
  search {{
    transactions(input: $input, first: 10) {{
      pageInfo {{ hasNextPage }} edges {{ node {{ ...Taken ...Standing }} }}
    }}
  }}
}}{_TRANSACTION}{_REFUND}{_STANDING}"""

BY_ORDER_ID: Final = f"""query ByOrderId($input: TransactionSearchInput!) {{
  search {{
    transactions(input: $input, first: 10) {{ pageInfo {{ hasNextPage }} edges {{ node {{ ...Taken }} }} }}
  }}
}}{_TRANSACTION}"""
