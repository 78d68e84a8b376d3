"""What a rule finds."""

from dataclasses import dataclass, field

FAULT, NOTE = "fault", "note"


@dataclass
class Finding:
    """`path` is relative to the folder that holds sglang/; `also` lists further places as "path:line".

    A fault breaks a rule whoever calls the code. A note is a fact that a reviewer should know.
    """

    rule: str
    level: str
    path: str
    line: int
    text: str
    also: list = field(default_factory=list)
    alike: bool = False  # the version of --against has the same finding

    @property
    def identity(self) -> tuple:
        """What stays the same when lines move, or when the file moves."""
        return self.rule, self.level, self.text

    def as_json(self) -> dict:
        return {"rule": self.rule, "level": self.level, "path": self.path, "line": self.line, "text": self.text,
                "also": self.also, "alike": self.alike}  # fmt: skip
