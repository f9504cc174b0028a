"""The front door of the distribution `aegispay-client`, where this file is the package's `__init__`."""

from .client import ENDED, SETTLED, Client, ClientError, NoAnswer, NotSettled, Refused
from .messages import Reply

__all__ = ["ENDED", "SETTLED", "Client", "ClientError", "NoAnswer", "NotSettled", "Refused", "Reply"]
