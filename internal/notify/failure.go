package notify

import (
	"bufio"
	"context"
	"errors"
	"io"
	"path"
	"regexp"
	"strings"

	"plague"
	"plague/internal/buildlog"
	"plague/internal/durable"
)

const (
	tailLines = 30      // of each log in a mail, as in 2005
	tailBytes = 4096    // the same
	fewLines  = 10      // a shorter tail of build.log is followed by the next log's
	maxArches = 16      // whose logs one mail shows
	maxScan   = 4 << 20 // last bytes of a log in which the first error is looked for
)

// separator stands between the tails of two logs, as in 0.4.5.1 of the original.
func separator() string { return strings.Repeat(">", 40) }

// failedArch is what a mail says of one arch that failed.
type failedArch struct {
	plague.ArchJob
	Error string   // first line of its logs that names an error; empty: none does
	Tail  []string // last lines of its logs
	Log   string   // address of its logs
}

// failedArches are the arch jobs that failed in the run that an event ended.
func (n *Notifier) failedArches(ctx context.Context, j plague.Job, e plague.Event) ([]failedArch, error) {
	es, err := n.DB.JobEvents(ctx, j.UID)
	if err != nil {
		return nil, err
	}
	run := runOf(es, e.ID) // the job may have been requeued since
	all, err := n.DB.ArchJobs(ctx, j.UID, run)
	if err != nil {
		return nil, err
	}
	var failed []failedArch
	for _, a := range all {
		if a.State != plague.ArchFailed || len(failed) == maxArches {
			continue
		}
		f := failedArch{ArchJob: a}
		if a.Attempt > 0 {
			dir := n.LogDir(j, a)
			f.Log = n.url(dir) + "/"
			f.Error, f.Tail = logsOf(n.Results, dir)
		}
		failed = append(failed, f)
	}
	return failed, nil
}

// runOf counts the run of a job that an event belongs to.
func runOf(es []plague.Event, id plague.EventID) int {
	run := 1
	for _, e := range es {
		if e.ID < id && e.What == "job" && e.From != "" && e.To == string(plague.JobWaiting) {
			run++
		}
	}
	return run
}

// logsOf reads an attempt's logs by the original's rule: the first of
// build.log, root.log and job.log that says anything, and the next one, too, if
// its tail is short. A log that cannot be read is passed over: the mail has its
// address.
func logsOf(d *durable.Dir, dir string) (first string, tail []string) {
	shown := 0
	for _, name := range []string{"build.log", "root.log", "job.log"} {
		file := path.Join(dir, name)
		lines, err := buildlog.Tail(d, file, tailLines, tailBytes)
		if err != nil || len(lines) == 0 {
			continue
		}
		if first == "" {
			first = firstErrorOf(d, file)
		}
		if shown > 0 {
			tail = append(tail, separator())
		}
		tail = append(tail, lines...)
		if shown++; shown == 2 || len(lines) >= fewLines {
			break
		}
	}
	return first, tail
}

func firstErrorOf(d *durable.Dir, file string) string {
	f, err := d.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	return FirstError(io.NewSectionReader(f, max(0, info.Size()-maxScan), maxScan))
}

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
		if line := readable(string(text)); causes.MatchString(line) {
			return oneLine(line)
		} else if second == "" && consequences.MatchString(line) {
			second = oneLine(line)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return second
		}
	}
}
