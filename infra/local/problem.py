"""What is wrong on this machine, for the person at the terminal."""


class LocalProblem(Exception):
    """Says what is wrong and, in `remedy`, what to do or where to look."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}\n{remedy}")
        self.what = what
        self.remedy = remedy
