# Reads the output of iscsi-test-cu; writes a line for each test: name, outcome, reasons for which parts were skipped.
function finish(outcome) {
    if (test == "") return
    if (reasons == "") print suite "." test "\t" outcome
    else print suite "." test "\t" (outcome == "passed" ? "skipped" : outcome) "\t" reasons
    test = ""
}
function note(line) {
    if (!match(line, /\[SKIPPED\]/)) return
    line = substr(line, RSTART + 10)
    gsub(/^[ \t]+|[ \t.]+$/, "", line)
    if (index("; " reasons ";", "; " line ";") == 0) reasons = reasons == "" ? line : reasons "; " line
}
/^Suite: / { finish("lost"); suite = $2; next }
/^ *Test: / { finish("lost"); test = $2; reasons = ""; sub(/^ *Test: [^ ]+ \.\.\./, "") }
# What follows the outcome on its line belongs to the preparation of the next suite.
/^passed/ { finish("passed"); next }
/^FAILED/ { finish("failed"); next }
test != "" { note($0) }
END { finish("lost") }
