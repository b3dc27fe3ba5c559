"""The report: tables in Markdown of medians and spreads, and what was reached of the targets.

Ratios are taken within a round, in which the relays ran one after the other: what the machine's moods leave standing.
"""
import re
import statistics

MB = 1e6
MINIMAL = "bare"  # a minimal receiver, and no relay: it is in no comparison of relays


def spread(values, form="{:.0f}"):
    """Median (lowest-highest)."""
    if not values:
        return "-"
    middle = form.format(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({form.format(min(values))}-{form.format(max(values))})"


class Results:
    def __init__(self, runs):
        self.runs = [run for run in runs if not run.get("error")]
        self.failed = [run for run in runs if run.get("error")]
        self.relays = list(dict.fromkeys(run["relay"] for run in runs))
        self.cells = list(dict.fromkeys(run["cell"] for run in runs))

    def of(self, cell, relay, key):
        """By round."""
        return {run["round"]: run[key] for run in self.runs
                if run["cell"] == cell and run["relay"] == relay and key in run}

    def ratios(self, key, cell, relay, other, other_cell=None):
        ours, theirs = self.of(cell, relay, key), self.of(other_cell or cell, other, key)
        # A relay that is cut off in one round is not run again: that round stands for all.
        was_capped = any(run.get("capped") for run in self.runs if run["relay"] == other and run["cell"] == (other_cell or cell))
        fallback = next(iter(theirs.values()), None) if was_capped else None
        pairs = [(value, theirs.get(number, fallback)) for number, value in ours.items()]
        return [value / divisor for value, divisor in pairs if divisor]


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def per_relay(results, title, cells, key, form, scale=1.0):
    rows = [[cell] + [spread([value * scale for value in results.of(cell, relay, key).values()], form) for relay in results.relays]
            for cell in cells]
    return f"\n### {title}\n\n" + table(["cell"] + results.relays, rows) if rows else ""


def is_accept(cell):
    return cell.startswith("accept 4")


# What is asked: cells, the relay that is measured against, the key, and the least (or, for costs, the most) ratio.
RATIOS = [
    (r"^accept 4.* (10|100) .*one per", "postfix", "rate", 3.5),
    (r"^accept 4.* (10|100) .*many per", "postfix", "rate", 4.0),
    (r"^accept 4.* (10|100) ", "emailrelay", "rate", 1.0),
    (r"accept 1 MiB", "postfix", "rate", 2.0),
    (r"accept 1 MiB", "opensmtpd", "rate", 1.0),
    (r"^end to end", "postfix", "rate", 4.0),
    (r"^drain, sink", "postfix", "rate", 4.0),
    (r"^drain, replies", "postfix", "rate", 3.0),
    (r"^accept 4.* (10|100) ", "postfix", "cpu", 1 / 4),
    (r"^end to end", "postfix", "cpu", 1 / 5),
    (r"^slow flush, accept.* 1 session", "postfix", "rate", 1.0),
    (r"^slow flush, accept.* 1 session", "postfix", "flushes", 1.0),
    (r"^slow flush, accept.* 10 sessions", "postfix", "rate", 1.5),
    (r"^slow flush, accept.* 100 sessions", "postfix", "rate", 4.0),
    (r"^slow flush, drain, 10 ", "postfix", "rate", 2.0),
]
# Of leafmail alone: cell, key, words, unit, divisor, the most.
LIMITS = [
    ("idle", "pss_0", "memory (PSS), idle", "MB", MB, 6),
    ("idle", "pss_1000", "memory (PSS), 1,000 idle sessions", "MB", MB, 16),
    ("idle", "pss_10000", "memory (PSS), 10,000 idle sessions", "MB", MB, 100),
    ("idle", "banner_ms", "start to banner", "ms", 1, 10),
    ("idle", "one_session_ms", "one session: start of the process to banner", "ms", 1, 4),
    ("accept 20 KiB, 10 sessions, many per connection", "flushes", "flushes of the disk, accepting 20 KiB", "a message", 1, 2),
    ("drain, sink at once", "flushes", "flushes of the disk, removing", "a message", 1, 1),
]


def targets(results, ours="leafmail"):
    rows = []
    for pattern, other, key, target in RATIOS:
        for cell in results.cells:
            found = results.ratios(key, cell, ours, other) if re.search(pattern, cell) else []
            if found:
                least = key == "rate"
                reached = lambda ratios: statistics.median(ratios) >= target if least else statistics.median(ratios) <= target
                minimal = results.ratios(key, cell, MINIMAL, other) if re.match("accept|end to end", cell) else []
                answer = "yes" if reached(found) else "**no**"
                rows.append([{"rate": "", "cpu": "CPU: "}.get(key, f"{key}: ") + cell, f"{'>=' if least else '<='} {target:.2f} x {other}",
                             spread(found, "{:.2f}"), spread(minimal, "{:.2f}"), answer])
    base = next((cell for cell in results.cells if re.search(r" 10 sessions, many", cell) and is_accept(cell)), None)
    for cell in (cell for cell in results.cells if is_accept(cell) and " 500 " in cell):
        found = results.ratios("rate", cell, ours, ours, base)
        if found:
            rows.append([cell, ">= 0.80 x its own with 10", spread(found, "{:.2f}"), "-", "yes" if statistics.median(found) >= 0.8 else "**no**"])
    for cell, key, words, unit, divisor, most in LIMITS:
        found = [value / divisor for value in results.of(cell, ours, key).values()]
        if found:
            rows.append([words, f"<= {most} {unit}", spread(found, "{:.1f}"), "-", "yes" if statistics.median(found) <= most else "**no**"])
    return "\n### Targets\n\n" + table(["what", "target", "leafmail: median (lowest-highest)", "the minimal receiver", "reached"], rows) if rows else ""


def beside_minimal(results, ours="leafmail"):
    """Beside the minimal receiver."""
    rows = []
    for cell in results.cells:
        share = [ratio * 100 for ratio in results.ratios("rate", cell, ours, MINIMAL)]
        if share and cell != "idle":
            cost = results.ratios("cpu", cell, ours, MINIMAL)
            rows.append([cell, spread(share, "{:.0f} %"), spread(cost, "{:.1f}")])
    return "\n### Beside the minimal receiver\n\n" + table(["cell", "messages per second", "CPU, times"], rows) if rows else ""


def report(runs, versions, machine):
    results = Results(runs)
    busy = [cell for cell in results.cells if cell != "idle"]
    rounds = sorted({1 + max(run["round"] for run in runs if run["cell"] == cell) for cell in results.cells})
    rounds = f"{rounds[0]} interleaved round{'s' * (rounds[0] > 1)}" if len(rounds) == 1 else f"{rounds[0]} to {rounds[-1]} interleaved rounds"
    names = ", ".join(f"{name} {version}" for name, version in versions.items())
    text = f"{names}; {rounds}, medians (lowest-highest). {machine}.\n"
    text += per_relay(results, "Messages per second", busy, "rate", "{:.0f}")
    text += per_relay(results, "CPU seconds per 1,000 messages", busy, "cpu", "{:.2f}")
    counted = [cell for cell in busy if any(results.of(cell, relay, "flushes") for relay in results.relays)]
    text += per_relay(results, "Flushes of the disk per message", counted, "flushes", "{:.2f}")
    text += per_relay(results, "Most memory (PSS), MB", busy, "pss", "{:.0f}", 1 / MB)
    text += idle_table(results)
    text += targets(results)
    text += beside_minimal(results)
    capped = sorted({f"{run['relay']} in \"{run['cell']}\"" for run in results.runs if run.get("capped")})
    if capped:
        text += "\nCut off by time, rated by what was done, and not run again: " + "; ".join(capped) + ".\n"
    twice = sorted({f"{run['relay']} {run['twice']} in \"{run['cell']}\"" for run in results.runs if run.get("twice")})
    if twice:
        text += "\nMessages that came twice: " + "; ".join(twice) + ".\n"
    for run in results.failed:
        text += f"\n- failed: {run['relay']}, {run['cell']}, round {run['round'] + 1}: {run['error']}\n"
    return text


# What docs/performance.md shows: key, cells, form, divisor, words before the cell's name.
SUMMARY = [
    ("rate", r"^accept 4.* (10|100) .*many|^accept 1 MiB|^end to end.* 100 .*many|^drain, sink|late, 100", "{:.0f}", 1, "messages/s: "),
    ("rate", r"^slow flush, (accept|drain)", "{:.0f}", 1, "messages/s: "),
    ("flushes", r"^slow flush, accept", "{:.2f}", 1, "flushes per message: "),
    ("cpu", r"accept 4.* 100 .*many|end to end.* 100 .*many", "{:.2f}", 1, "CPU s per 1,000: "),
    ("pss_0", "idle", "{:.1f}", MB, "memory, MB: "),
    ("pss_1000", "idle", "{:.1f}", MB, "memory with 1,000 sessions, MB: "),
    ("banner_ms", "idle", "{:.0f}", 1, "start to banner, ms: "),
]


# What the README shows.
BRIEF = [
    ("rate", r"^accept 4.* 100 .*many|^end to end.* 100 .*many|^slow flush, accept.* 10 ", "{:.0f}", 1, "messages/s: "),
    ("pss_1000", "idle", "{:.1f}", MB, "memory with 1,000 sessions, MB: "),
]


def summary(runs, versions, what=SUMMARY):
    """A short table of medians."""
    results = Results([run for run in runs if run["relay"] != MINIMAL])
    rows = []
    for key, pattern, form, divisor, words in what:
        for cell in (cell for cell in results.cells if re.search(pattern, cell)):
            found = [results.of(cell, relay, key).values() for relay in results.relays]
            medians = [form.format(statistics.median(values) / divisor) if values else "-" for values in found]
            rows.append([words + (cell if cell != "idle" else "")] + medians)
    return table([""] + [f"{relay} {versions.get(relay, '')}" for relay in results.relays], [[row[0].rstrip(": ")] + row[1:] for row in rows])


def replace_between(path, name, text):
    """Puts a text between the two marks of this name."""
    begin, end = f"<!-- {name}: made by benches/rivals/run -->\n", f"<!-- end of {name} -->"
    page = open(path).read()
    head, rest = page.split(begin)
    tail = rest.split(end)[1]
    with open(path, "w") as file:
        file.write(head + begin + text.rstrip("\n") + "\n" + end + tail)


def idle_table(results):
    keys = [("banner_ms", "start to banner, ms", "{:.0f}", 1), ("one_session_ms", "one session: start to banner, ms", "{:.1f}", 1),
            ("pss_0", "memory (PSS) idle, MB", "{:.1f}", MB), ("idle_cpu", "CPU idle, ms per s", "{:.1f}", 1),
            ("pss_1000", "memory with 1,000 idle sessions, MB", "{:.1f}", MB),
            ("pss_10000", "memory with 10,000 idle sessions, MB", "{:.1f}", MB)]
    rows = []
    for key, words, form, divisor in keys:
        row = [spread([value / divisor for value in results.of("idle", relay, key).values()], form) for relay in results.relays]
        if set(row) != {"-"}:
            rows.append([words] + row)
    return "\n### At rest\n\n" + table(["what"] + results.relays, rows) if rows else ""
