"""Known weaknesses of the packages that library and server need: `make audit`.

Fails where pip-audit finds one, by the advisories of PyPI or else of OSV. Where neither can be
reached it says so and passes: a package index may be all the network that there is, and pip-audit
itself then finds "nothing".
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from onecycle.export.hosts import installed_versions

SERVICES = ("pypi", "osv")


def audit(pins: str, service: str) -> tuple[dict | None, str]:
    """pip-audit's report on `pins`, or None and why there is none."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text(pins, "utf-8")
        command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--no-deps", "-f", "json"]
        command += ["--progress-spinner", "off", "-s", service, "-r", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        lines = done.stderr.strip().splitlines() or ["pip-audit said nothing"]
        return None, lines[-1][:300]
    if all("skip_reason" in row for row in report["dependencies"]):
        return None, "it knows none of the packages"
    return report, ""


def main() -> int:
    """0 where nothing is known or nobody can be asked, 1 where something is."""
    versions = installed_versions(["onecycle"])[0]
    versions.pop("onecycle")
    pins = "".join(f"{name}=={number.split('+')[0]}\n" for name, number in versions.items())
    reasons = []
    for service in SERVICES:
        report, reason = audit(pins, service)
        if report is None:
            reasons.append(f"{service}: {reason}")
            continue
        for row in report["dependencies"]:
            if "skip_reason" in row:
                print(f"not audited: {row['name']} ({row['skip_reason']})")
        found = [row for row in report["dependencies"] if row.get("vulns")]
        for row in found:
            for weak in row["vulns"]:
                fixed = ", ".join(weak["fix_versions"]) or "no version yet"
                print(f"{row['name']} {row['version']}: {weak['id']}, mended in {fixed}")
        print(f"{len(found)} of {len(versions)} packages have known weaknesses ({service})")
        return int(bool(found))
    print("audit SKIPPED, no advisories can be reached from here:", *reasons, sep="\n  ")
    return 0


if __name__ == "__main__":
    sys.exit(main())
