package cli

import (
	"fmt"

	"plague"
)

// event shows one event. One that is older than what was shown already is
// passed over: its state is not the one that was seen last.
func (w *watcher) event(e plague.Event) {
	if w.flags.json {
		if err := printJSONLine(w.s.Out, e); err != nil {
			w.say("%v", err)
		}
	}
	switch {
	case e.What == "job" && e.From == w.shown[e.Job]:
		w.state(e.Job, e.To, e.Text)
	case e.What == "arch_job" && e.To != "" && !w.flags.json:
		for _, a := range w.jobs[e.Job].Archjobs {
			if a.Jobid == e.ArchJob {
				w.say("job %d: %s: %s%s", e.Job, oneLine(a.Arch), w.err.state(e.To, e.To), because(e.Text))
			}
		}
	}
}

// state shows a job's state if it is a new one.
func (w *watcher) state(uid plague.JobID, state, why string) {
	if w.shown[uid] == state {
		return
	}
	w.shown[uid] = state
	if !w.flags.json {
		w.say("job %d: %s: %s%s", uid, oneLine(nvr(*w.jobs[uid])), w.err.state(state, state), because(why))
	}
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return " (" + oneLine(why) + ")"
}

func (w *watcher) say(format string, args ...any) {
	w.lines.say(w.s.Err, fmt.Sprintf(format+"\n", args...))
}

func (w *watcher) allRest() bool {
	for _, j := range w.jobs {
		if !j.Resting {
			return false
		}
	}
	return true
}

// outcome gives the exit code, and says of what did not succeed why.
func (w *watcher) outcome(uids []plague.JobID) error {
	var failed, killed bool
	for _, uid := range uids {
		j := w.jobs[uid]
		switch plague.JobState(j.Status) {
		case plague.JobFailed:
			failed = true
		case plague.JobKilled:
			killed = true
		default:
			continue
		}
		if j.Reason != "" && !w.flags.json {
			w.say("job %d: %s", uid, oneLine(j.Reason))
		}
	}
	switch {
	case failed:
		return exitFailed
	case killed:
		return exitKilled
	}
	return nil
}
