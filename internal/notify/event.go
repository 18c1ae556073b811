package notify

import (
	"time"

	"plague"
)

// eventJSON is an event for programs, the same in the stream and in hooks.
type eventJSON struct {
	ID      plague.EventID   `json:"id"`
	At      time.Time        `json:"at"` // UTC, RFC 3339
	What    string           `json:"what"`
	Job     plague.JobID     `json:"job,omitempty"`
	ArchJob plague.ArchJobID `json:"arch_job,omitempty"`
	From    string           `json:"from,omitempty"`
	To      string           `json:"to,omitempty"`
	Who     string           `json:"who,omitempty"`
	Text    string           `json:"text,omitempty"`
}

func eventOf(e plague.Event) eventJSON {
	return eventJSON{ID: e.ID, At: e.At, What: e.What, Job: e.Job, ArchJob: e.ArchJob, From: e.From, To: e.To, Who: e.Who, Text: e.Text}
}

// jobJSON is what does not change about the job of an event.
type jobJSON struct {
	UID     plague.JobID `json:"uid"`
	Package string       `json:"package"`
	NVR     string       `json:"nvr"`
	Source  string       `json:"source"`
	User    string       `json:"user"`
	Target  string       `json:"target"`
	Scratch bool         `json:"scratch"`
}

func jobOf(j *plague.Job) *jobJSON {
	if j == nil {
		return nil
	}
	return &jobJSON{UID: j.UID, Package: j.Package, NVR: j.NVR(), Source: j.Source, User: j.User, Target: j.Target, Scratch: j.Scratch}
}

// delivery is the body of a call to a hook.
type delivery struct {
	Farm  string    `json:"farm"`
	Event eventJSON `json:"event"`
	Job   *jobJSON  `json:"job,omitempty"`
}
