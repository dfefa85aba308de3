"""What `promtool test rules` is given: the series of a site over hours, and the alerts that fire at some minutes."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

PROGRAM = "promtool"
RULES = Path("deploy/monitoring/alerts.yml")
WELL = 60  # minutes that all is well, before something changes
AFTER = 480  # minutes that the change lasts

Series = dict[str, str]


def counter(a_minute: float, then: float | None = None, minutes: int = AFTER) -> str:
    """A counter that grows by `a_minute`, and by `then` in so many minutes since the change."""
    then = a_minute if then is None else then
    start = a_minute * WELL
    end = start + then * minutes
    rest = AFTER - minutes
    return f"0+{a_minute}x{WELL} {start + then}+{then}x{minutes - 1}" + (
        f" {end + a_minute}+{a_minute}x{rest - 1}" if rest else ""
    )


def gauge(value: float, then: float | None = None, minutes: int = AFTER) -> str:
    """A gauge that is `value`, and `then` in so many minutes since the change."""
    then = value if then is None else then
    rest = AFTER - minutes
    return f"{value}+0x{WELL} {then}+0x{minutes - 1}" + (f" {value}+0x{rest - 1}" if rest else "")


def histogram(name: str, labels: str, seconds: tuple[float, float], *, late: bool, minutes: int = AFTER) -> Series:
    """A histogram of one observation each second, in the bucket of the first bound.

    With `late` they are in that of the second bound in so many minutes since the change.
    """
    quick, slow = (f'{name}_bucket{{le="{float(bound)}",{labels}}}' for bound in seconds)
    return {
        quick: counter(60, 0 if late else 60, minutes),
        slow: counter(60),
        f'{name}_bucket{{le="+Inf",{labels}}}': counter(60),
    }


def check(folder: Path, series: Series, firing: Mapping[int, set[str]]) -> None:
    """Fails unless exactly these alerts fire at each of the minutes."""
    tests = [
        {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [
                {
                    "expr": 'group by (alertname) (ALERTS{alertstate="firing"})',
                    "eval_time": f"{minute}m",
                    "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in sorted(alerts)],
                }
                for minute, alerts in firing.items()
            ],
        }
    ]
    whole = {"rule_files": [str(RULES.absolute())], "evaluation_interval": "1m", "tests": tests}
    file = folder / "tests.yml"
    file.write_text(json.dumps(whole))  # which is YAML, too
    done = subprocess.run([PROGRAM, "test", "rules", str(file)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
