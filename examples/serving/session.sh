#!/bin/sh
# A model behind HTTP, asked and measured from the shell:  sh examples/serving/session.sh
# The model comes from  (cd examples/digits && python train.py)
# It needs curl and `pip install 'clouddeploy[serve,torch]'`.
set -eu

digits=$(dirname "$0")/../digits
made=$(mktemp -d)
clouddeploy serve "$digits/digits.pt2" --port 0 --max-batch 32 --max-delay 2ms --json >"$made/ready" 2>"$made/log" &
server=$!
trap 'kill -INT $server 2>/dev/null || true; wait $server || true; rm -r "$made"' EXIT

until grep -q '"url"' "$made/ready"; do # one line of JSON, once it can predict
    kill -0 $server || { cat "$made/log" >&2; exit 1; }
    sleep 0.2
done
url=$(sed -n 's/.*"url": *"\([^"]*\)".*/\1/p' "$made/ready")

curl -fsS "$url/ready"
echo
curl -fsS "$url/predict" -H 'content-type: application/json' -d "{\"inputs\": $(
    python -c "import numpy, sys; print(numpy.load(sys.argv[1])[:1].tolist())" "$digits/heldout.npy"
)}"
echo
curl -fsS "$url/metrics" | grep '^clouddeploy_requests_total'
clouddeploy bench "$url" --rate 100 --duration 1s --warm-up 200ms # the body: the example of its own /openapi.json
