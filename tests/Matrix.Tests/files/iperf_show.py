"""What iperf3 -J reports, less what depends on speed: at least 30 MB must have gone, in both directions together with --bidir."""
import json
import sys

report = json.load(sys.stdin)
end, start = report["end"], report["start"]
print("error:", report.get("error"), "congestion:", end.get("sender_tcp_congestion"), end.get("receiver_tcp_congestion"))
test = start["test_start"]
print({key: test[key] for key in ("protocol", "num_streams", "reverse", "bytes", "tos")}, start["connected"][0]["remote_host"], len(start["connected"]))
sent = [end[key]["bytes"] for key in ("sum_sent", "sum_sent_bidir_reverse") if key in end]
received = [end[key]["bytes"] for key in ("sum_received", "sum_received_bidir_reverse") if key in end]
print(len(sent), sum(sent) >= 30 << 20, all(received), "retransmits" in end["sum_sent"])
