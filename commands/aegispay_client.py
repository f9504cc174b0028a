"""The public names of the distribution `aegispay-client`, in which this file is the package's `__init__`."""

from .client import ENDED, SETTLED, Client, ClientError, NoReply, NotSettled, Refused
from .reply import Reply

__all__ = ["ENDED", "SETTLED", "Client", "ClientError", "NoReply", "NotSettled", "Refused", "Reply"]
