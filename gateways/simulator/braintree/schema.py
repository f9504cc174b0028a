"""The part of Braintree's GraphQL schema that the simulator plays, with `apiRequestKey`, which the public
schema does not show. A client may select any of these fields.
"""

from typing import Final

from graphql import GraphQLSchema, build_schema

_EVENT: Final = "status: PaymentStatus timestamp: Timestamp amount: MonetaryAmount source: PaymentSource terminal: Boolean"
_AUTHORIZING: Final = (
    "processorResponse: TransactionAuthorizationProcessorResponse networkResponse: PaymentNetworkResponse"
)
_REFUSING: Final = f"{_AUTHORIZING} merchantAdviceCodeResponse: MerchantAdviceCodeResponse"
_SETTLING: Final = "processorResponse: TransactionSettlementProcessorResponse"
_PAYMENT: Final = """id: ID! legacyId: ID! createdAt: Timestamp amount: MonetaryAmount orderId: String status: PaymentStatus
  statusHistory: [PaymentStatusEvent!] merchantAccountId: ID source: PaymentSource"""
_PAY: Final = (
    "clientMutationId: String apiRequestKey: String paymentMethodId: ID! transaction: TransactionInput!"
)
_PAYLOAD: Final = "clientMutationId: String transaction: Transaction"

SDL: Final = f"""
scalar Amount
scalar CurrencyCodeAlpha
scalar Timestamp

enum PaymentStatus {{ AUTHORIZATION_EXPIRED AUTHORIZED AUTHORIZING FAILED GATEWAY_REJECTED PROCESSOR_DECLINED SETTLED
  SETTLEMENT_CONFIRMED SETTLEMENT_DECLINED SETTLEMENT_PENDING SETTLING SUBMITTED_FOR_SETTLEMENT VOIDED }}
enum PaymentSource {{ API }}
enum ProcessorDeclineType {{ HARD SOFT }}
enum GatewayRejectionReason {{ APPLICATION_INCOMPLETE AVS AVS_AND_CVV CVV DUPLICATE EXCESSIVE_RETRY FRAUD
  MANUAL_TRANSACTIONS_DISABLED PAYMENT_METHOD_BLOCKED RISK_THRESHOLD THREE_D_SECURE TOKEN_ISSUANCE
  TOO_MANY_CONFIRMATION_ATTEMPTS UNION_PAY_ENROLLMENT_REQUIRED }}
enum PaymentInitiator {{ ESTIMATED INSTALLMENT INSTALLMENT_FIRST MOTO RECURRING RECURRING_FIRST UNSCHEDULED }}
enum VaultPaymentMethodCriteria {{ ALWAYS ON_SUCCESSFUL_TRANSACTION }}

type MonetaryAmount {{ value: Amount currencyIsoCode: CurrencyCodeAlpha currencyCode: CurrencyCodeAlpha }}
type TransactionAuthorizationProcessorResponse {{ legacyCode: String message: String }}
type TransactionSettlementProcessorResponse {{ legacyCode: String message: String }}
type PaymentNetworkResponse {{ code: String message: String }}
type MerchantAdviceCodeResponse {{ code: String message: String }}

interface Node {{ id: ID! }}
interface Payment {{ {_PAYMENT} }}
interface PaymentStatusEvent {{ {_EVENT} }}
type AuthorizedEvent implements PaymentStatusEvent {{ {_EVENT} {_AUTHORIZING} authorizationExpiresAt: Timestamp }}
type AuthorizationExpiredEvent implements PaymentStatusEvent {{ {_EVENT} }}
type ProcessorDeclinedEvent implements PaymentStatusEvent {{ {_EVENT} {_REFUSING} declineType: ProcessorDeclineType }}
type GatewayRejectedEvent implements PaymentStatusEvent {{ {_EVENT} {_REFUSING}
  gatewayRejectionReason: GatewayRejectionReason duplicateOf: Transaction }}
type FailedEvent implements PaymentStatusEvent {{ {_EVENT} {_REFUSING} }}
type SubmittedForSettlementEvent implements PaymentStatusEvent {{ {_EVENT} }}
type SettlementPendingEvent implements PaymentStatusEvent {{ {_EVENT} {_SETTLING} }}
type SettlementDeclinedEvent implements PaymentStatusEvent {{ {_EVENT} {_SETTLING} }}
type SettledEvent implements PaymentStatusEvent {{ {_EVENT} {_SETTLING} }}
type VoidedEvent implements PaymentStatusEvent {{ {_EVENT} }}

type Transaction implements Node & Payment {{ {_PAYMENT} refunds: [Refund!] partiallyAuthorized: Boolean }}
type Refund implements Node & Payment {{ {_PAYMENT} refundedTransaction: Transaction }}
union TransactionReversal = Refund | Transaction

type PageInfo {{ hasNextPage: Boolean! hasPreviousPage: Boolean! startCursor: String endCursor: String }}
type TransactionConnection {{ edges: [TransactionConnectionEdge] pageInfo: PageInfo! }}
type TransactionConnectionEdge {{ cursor: String node: Transaction }}
type RefundConnection {{ edges: [RefundConnectionEdge] pageInfo: PageInfo! }}
type RefundConnectionEdge {{ cursor: String node: Refund }}
input SearchTextInput {{ is: String }}
input TransactionSearchInput {{ orderId: SearchTextInput }}
input RefundSearchInput {{ orderId: SearchTextInput }}
type Search {{
  transactions(input: TransactionSearchInput!, first: Int): TransactionConnection
  refunds(input: RefundSearchInput!, first: Int): RefundConnection
}}
type Query {{ ping: String! node(id: ID!): Node search: Search }}

input TransactionDescriptorInput {{ name: String phone: String url: String }}
input VaultPaymentMethodAfterTransactingInput {{ when: VaultPaymentMethodCriteria! }}
input TransactionInput {{ amount: Amount! merchantAccountId: ID orderId: String purchaseOrderNumber: String
  descriptor: TransactionDescriptorInput customerId: ID paymentInitiator: PaymentInitiator
  vaultPaymentMethodAfterTransacting: VaultPaymentMethodAfterTransactingInput }}
input AuthorizePaymentMethodInput {{ {_PAY} }}
input ChargePaymentMethodInput {{ {_PAY} }}
input AuthorizeCreditCardInput {{ {_PAY} }}
input ChargeCreditCardInput {{ {_PAY} }}
input CaptureTransactionOptionsInput {{ amount: Amount descriptor: TransactionDescriptorInput }}
input CaptureTransactionInput {{ clientMutationId: String apiRequestKey: String transactionId: ID! amount: Amount
  transaction: CaptureTransactionOptionsInput }}
input ReverseTransactionInput {{ clientMutationId: String transactionId: ID! }}
input RefundInput {{ amount: Amount orderId: String merchantAccountId: ID }}
input RefundTransactionInput {{ clientMutationId: String apiRequestKey: String transactionId: ID! refund: RefundInput }}
type TransactionPayload {{ {_PAYLOAD} }}
type ReverseTransactionPayload {{ clientMutationId: String reversal: TransactionReversal }}
type RefundTransactionPayload {{ clientMutationId: String refund: Refund }}
type Mutation {{
  authorizePaymentMethod(input: AuthorizePaymentMethodInput!): TransactionPayload
  chargePaymentMethod(input: ChargePaymentMethodInput!): TransactionPayload
  authorizeCreditCard(input: AuthorizeCreditCardInput!): TransactionPayload
  chargeCreditCard(input: ChargeCreditCardInput!): TransactionPayload
  captureTransaction(input: CaptureTransactionInput!): TransactionPayload
  reverseTransaction(input: ReverseTransactionInput!): ReverseTransactionPayload
  refundTransaction(input: RefundTransactionInput!): RefundTransactionPayload
}}
"""

SCHEMA: Final[GraphQLSchema] = build_schema(SDL)
