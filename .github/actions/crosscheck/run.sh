#!/usr/bin/env bash
# The action's one step: run, annotate, and pass on the verdict; the inputs are variables.
set -uo pipefail
report="$RUNNER_TEMP/crosscheck"
read -ra options <<<"${OPTIONS:-}"
[ -z "${BASELINE:-}" ] || options+=(--baseline "$BASELINE")

python -m crosscheck run --engine "$ENGINE" --cases "$CASES" --out "$report" \
    --format html,md,junit --output-format github ${options[@]+"${options[@]}"} 2>"$RUNNER_TEMP/complaint"
status=$?

case $status in
0) verdict="pass" ;;
1) verdict="defect or regression" ;;
2) verdict="bad input" ;;
4) verdict="not comparable" ;;
5) verdict="nothing confirmed" ;;
*) verdict="engine failed" ;;
esac
{ echo "verdict=$verdict" && echo "report=$report"; } >>"$GITHUB_OUTPUT"

if [ -f "$report/report.md" ]; then
    cat "$report/report.md" >>"$GITHUB_STEP_SUMMARY"
elif [ $status -ne 0 ]; then
    cat "$RUNNER_TEMP/complaint" >>"$GITHUB_STEP_SUMMARY"
    echo "::error title=crosscheck::$(tail -n 1 "$RUNNER_TEMP/complaint")"
fi
exit $status
