"""What iperf3 -u -J reports, less what depends on the machine."""
import json
import sys

report = json.load(sys.stdin)
test = report["start"]["test_start"]
total = report["end"]["sum"]
print("error:", report.get("error"), {key: test[key] for key in ("protocol", "num_streams", "reverse")}, report["start"]["connected"][0]["remote_host"])
print("all went" if total["bytes"] >= 6_000_000 else total["bytes"], "most came" if total["lost_packets"] < total["packets"] / 2 else total)
