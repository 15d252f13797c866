"""Known vulnerabilities of the pinned packages, by `pip-audit`; a clear skip where it finds no source.

    python .ci/audit.py constraints.txt

Exit code 1 only for a vulnerability. pip-audit itself ends with 0 where its source knows no package
(a mirror without the JSON interface) and with 1 where it reaches none: neither says anything of the packages.
"""

import json
import subprocess
import sys

TIMEOUT_S = "15"


def main(constraints: str) -> int:
    command = [
        *(sys.executable, "-m", "pip_audit", "--requirement", constraints, "--no-deps", "--disable-pip"),
        *("--format", "json", "--progress-spinner", "off", "--timeout", TIMEOUT_S),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        found = json.loads(ended.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = (ended.stderr.strip().splitlines() or ["no reason given"])[-1]
        print(f"    skipped: the source of advisories cannot be reached ({last[:160]})")
        return 0
    audited = [package for package in found if "skip_reason" not in package]
    if not audited:
        print(f"    skipped: the source of advisories knows none of the {len(found)} packages")
        return 0
    vulnerable = [package for package in audited if package["vulns"]]
    for package in vulnerable:
        for fault in package["vulns"]:
            fixed = ", ".join(fault["fix_versions"]) or "no version"
            print(f"    {package['name']} {package['version']}: {fault['id']}, fixed in {fixed}")
    print(f"    {len(audited)} of {len(found)} packages audited, {len(vulnerable)} vulnerable")
    return 1 if vulnerable else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
