package buildlog

import (
	"bufio"
	"errors"
	"io"
	"regexp"
)

// causes are lines that say what is wrong, consequences those that say that
// something was.
func patterns() (causes, consequences *regexp.Regexp) {
	return regexp.MustCompile(`(?i)(^|[\s:])(fatal )?error( [a-z]?\d+)?: |^E: |undefined reference to|\bnothing provides\b|no matching package|unable to find a match|failed dependencies|syntaxerror|command not found|no such file or directory`),
		regexp.MustCompile(`(?i)\*\*\* |^rpm build errors|bad exit status|\bfailed\b|traceback|^error\b`)
}

// FirstError finds the first line of a log that says what is wrong; if none
// does, the first that says that something was. Empty: there is neither.
func FirstError(log io.Reader) string {
	causes, consequences := patterns()
	second := ""
	lines := bufio.NewReaderSize(log, 64<<10)
	for {
		text, err := lines.ReadSlice('\n')
		if line := Readable(string(text)); causes.MatchString(line) {
			return OneLine(line)
		} else if second == "" && consequences.MatchString(line) {
			second = OneLine(line)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return second
		}
	}
}
