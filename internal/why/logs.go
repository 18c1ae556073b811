package why

import (
	"io"
	"path"
	"strings"

	"plague/internal/buildlog"
	"plague/internal/durable"
)

const (
	tailLines = 30      // of each log, as in the mails of 2005
	tailBytes = 4096    // the same
	fewLines  = 10      // a shorter tail of build.log is followed by the next log's
	maxScan   = 4 << 20 // last bytes of a log in which the first error is looked for
)

// separator stands between the tails of two logs, as in 0.4.5.1 of the original.
func separator() string { return strings.Repeat(">", 40) }

// logsOf reads an attempt's logs by the original's rule: the first of
// build.log, root.log and job.log that says anything, and the next one, too, if
// its tail is short. A log that cannot be read is passed over: who reads has its
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
	return buildlog.FirstError(io.NewSectionReader(f, max(0, info.Size()-maxScan), maxScan))
}
