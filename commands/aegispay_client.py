"""The front door of the distribution `aegispay-client`, where this file is the package's `__init__`."""

from .client import SETTLED, Client, ClientError, NoAnswer, NotSettled, Refused
from .messages import Reply

__all__ = ["SETTLED", "Client", "ClientError", "NoAnswer", "NotSettled", "Refused", "Reply"]
