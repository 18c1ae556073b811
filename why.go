package plague

import (
	"fmt"
	"strings"
	"time"
)

// A Why is the answer to why a job is as it is: the same for the command, the call,
// the page and the mail.
type Why struct {
	Job    JobID
	Run    int
	State  JobState
	Short  string // the answer in one sentence
	Waits  []Wait // the arch jobs that have not ended
	Blames []Blame
}

// A Wait says what an arch job that has not ended waits for, or does.
type Wait struct {
	Arch     string
	State    ArchState
	Text     string      // which constraint, or what goes on
	Builders []Candidate // that could build it, with what they do now
	Place    int         // in the queue for those; 1: the next slot is its. 0: unknown
	// Between Earliest and Latest it should begin, as builds of this farm went so far.
	// Zero: that cannot be said.
	Earliest, Latest time.Time
	Tried            []string // attempts of this run that the farm's own trouble ended
}

// A Candidate is a builder that could build an arch job.
type Candidate struct {
	Builder string
	Slots   int
	Free    int
	Trouble string   // why it takes nothing new; empty: it does
	Doing   []string // what it builds now
	Results int      // builds that have ended there and whose files are not fetched yet: too many take its slots
}

// A Blame says why one arch failed.
type Blame struct {
	Arch    string
	Builder string
	Kind    FailureKind
	Phase   Phase
	Reason  string
	Error   string   // first line of its logs that names an error; empty: none does
	Tail    []string // last lines of its logs, by the rule of 2005
	Logs    string   // folder of its logs below the results; empty: it never ran
	Good    JobID    // the package's last good build for this arch; 0: there is none that says what it saw
	Changes []string // what was in the buildroot of one and not of the other
}

// Lines are an answer in words, without its Short.
func (w Why) Lines() (lines []string) {
	for _, a := range w.Waits {
		lines = append(lines, a.lines()...)
	}
	for _, b := range w.Blames {
		lines = append(lines, b.lines()...)
	}
	return lines
}

func (w Wait) lines() []string {
	lines := []string{w.Arch + ": " + w.Text}
	say := func(format string, args ...any) { lines = append(lines, "  "+fmt.Sprintf(format, args...)) }
	if w.Place > 0 {
		say("place %d in the queue", w.Place)
	}
	if !w.Latest.IsZero() {
		say("should begin between %s and %s", clock(w.Earliest), clock(w.Latest))
	}
	for _, c := range w.Builders {
		say("%s", c.line())
	}
	for _, t := range w.Tried {
		say("tried: %s", t)
	}
	return lines
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

func (c Candidate) line() string {
	text := fmt.Sprintf("%s: %d of %d slots free", c.Builder, c.Free, c.Slots)
	if c.Trouble != "" {
		text = c.Builder + " takes nothing new: " + c.Trouble
	}
	if len(c.Doing) > 0 {
		text += "; builds " + strings.Join(c.Doing, ", ")
	}
	if c.Results > 0 {
		text += fmt.Sprintf("; the results of %d wait to be fetched", c.Results)
	}
	return text
}

func (b Blame) lines() []string {
	text := b.Arch + " failed"
	if b.Builder != "" {
		text += " on " + b.Builder
	}
	if b.Phase != "" {
		text += fmt.Sprintf(" while %s", b.Phase)
	}
	lines := []string{text + ": " + b.Reason}
	say := func(format string, args ...any) { lines = append(lines, "  "+fmt.Sprintf(format, args...)) }
	if mender := b.Kind.mender(); mender != "" {
		say("%s", mender)
	}
	if b.Error != "" {
		say("first error: %s", b.Error)
	}
	if b.Logs != "" {
		say("logs: %s/", b.Logs)
	}
	for i, c := range b.Changes {
		if i == 0 {
			say("since its last good build, of job %d, the buildroot has changed:", b.Good)
		}
		say("  %s", c)
	}
	if b.Good != 0 && len(b.Changes) == 0 {
		say("the buildroot is as it was for its last good build, of job %d", b.Good)
	}
	return lines
}

// mender says for people who has to do something about a failure.
func (k FailureKind) mender() string {
	switch k {
	case FailurePackage:
		return "the package is to blame"
	case FailureInfrastructure, FailureLost:
		return "the farm is to blame, not the package"
	case FailureMemory, FailureDisk:
		return fmt.Sprintf("it needs more %s: a larger builder, or fewer slots on those that there are", k)
	}
	return ""
}
