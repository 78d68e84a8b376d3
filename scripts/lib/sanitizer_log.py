"""Reads the output of NVIDIA's compute-sanitizer together with the lines that say which case runs."""
import re

MARKER = "##dsv4diff case "  # harness/workers/worker.cpp writes it
MOST_TRIED_ALONE = 20


class Finding:
    """One block of the sanitizer's report."""

    def __init__(self, header):
        self.header = header
        self.details = []
        self.lines = 1

    def place(self):
        """The first frame on the device: function, source and line."""
        return next((d[3:] for d in self.details if d.startswith("at ")), "")

    def access(self):
        """Which thread accessed which address."""
        words = [d for d in self.details if d.startswith(("by thread", "by ", "Access ", "Address ", "and is ", "and ")) or
                 "is out of bounds" in d or "is misaligned" in d]  # fmt: skip
        return ", ".join(words)

    def kind(self):
        """Equal findings differ only in thread and address."""
        return (re.sub(r"0x[0-9a-f]+", "0x", self.header), self.place())


class Log:
    """What a run under the sanitizer wrote: the cases in the order in which they ran, and the findings of each."""

    def __init__(self):
        self.order = []       # case ids in the order of their markers
        self.findings = {}    # case id, or "" before the first case -> list of Finding
        self.trouble = []     # messages that say that the sanitizer did not work
        self.counted = 0      # number of errors that the sanitizer says it found
        self.unprinted = 0    # of these, how many it did not print
        self.other = []       # lines of dsv4diff
        self._current = ""
        self._open = None
        self._rest = ""

    def feed(self, text):
        """Takes a part of the output, which may end in the middle of a line."""
        lines = (self._rest + text).split("\n")
        self._rest = lines.pop()
        for line in lines:
            self._line(line.rstrip("\r"))

    def close(self):
        if self._rest:
            self.feed("\n")

    def all_findings(self):
        return [f for list_ in self.findings.values() for f in list_]

    def cases_with_findings(self):
        return [case for case in self.order if self.findings.get(case)]

    def before(self, case):
        """The case that ran before this one; None if it was the first."""
        at = self.order.index(case)
        return self.order[at - 1] if at > 0 else None

    def _line(self, line):
        marker = line.find(MARKER)
        if marker >= 0:
            # A write of the sanitizer can stand before the marker on the same line.
            if marker > 0:
                self._line(line[:marker])
            self._current = line[marker + len(MARKER):].strip()
            self._open = None
            if self._current not in self.order:
                self.order.append(self._current)
            return
        if not line.startswith("========="):
            if line.strip():
                self.other.append(line)
            return
        body = line[len("========="):]
        text = body.strip()
        if not text:
            self._open = None
        elif text.startswith("COMPUTE-SANITIZER"):
            self._open = None
        elif "SUMMARY:" in text:
            self._summary(text)
        elif len(body) - len(body.lstrip()) > 1:
            if self._open is not None:
                self._open.details.append(text)
                self._open.lines += 1
        elif is_trouble(text):
            self.trouble.append(text)
            self._open = None
        elif is_noise(text):
            self._open = None
        else:
            self._open = Finding(text)
            self.findings.setdefault(self._current, []).append(self._open)

    def _summary(self, text):
        self._open = None
        unprinted = re.search(r"SUMMARY: (\d+) errors? (?:was|were) not printed", text)
        number = re.search(r"SUMMARY: (\d+) ", text)
        if unprinted:
            self.unprinted += int(unprinted[1])
        elif number and not text.startswith("LEAK"):
            self.counted += int(number[1])


def is_trouble(text):
    """Whether a message of the sanitizer says that it did not work, rather than that it found something."""
    return bool(re.match(r"(Internal Sanitizer Error|Error: (Failed|Unable|No |Could not|The application|Device )|Unable to|"
                         r"No attachable process|Warning: (Unsupported|Device not supported))", text))  # fmt: skip


def is_noise(text):
    """Messages about the end of a process. dsv4diff reports it better: a crash is the verdict of a case."""
    return bool(re.match(r"(Error: process didn't terminate|Error: Target application terminated before first|"
                         r"Target application (returned an error|terminated))", text))  # fmt: skip


def attribute(log, alone, sure):
    """Returns [(case or "", findings, note)]. `alone(case)` runs a case alone and returns its findings. A case for which
    `sure(case)` is true is not tried alone."""
    found, settled = [], {}
    if log.findings.get(""):
        found.append(("", log.findings[""], "before the first case"))
    tried = 0
    for case in log.cases_with_findings():
        if len(log.order) == 1 or sure(case):
            found.append((case, log.findings[case], ""))
            continue
        if tried >= MOST_TRIED_ALONE:
            found.append((case, log.findings[case], "not tried alone"))
            continue
        tried += 1
        owner, note = case, ""
        if case not in settled:
            settled[case] = alone(case)
        if not settled[case]:
            earlier = log.before(case)
            if earlier is not None and earlier not in settled:
                settled[earlier] = alone(earlier)
            if earlier is not None and settled[earlier]:
                owner, note = earlier, ""
            else:
                note = "not when the case runs alone: it may depend on earlier cases"
        same = next((i for i, entry in enumerate(found) if entry[0] == owner), None)
        if same is None:
            found.append((owner, settled.get(owner) or log.findings[case], note))
    return found
