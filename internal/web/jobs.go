package web

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"plague"
	"plague/internal/store"
)

// pageSize is how many jobs a page shows.
const pageSize = 50

// jobs lists the newest jobs that the address chooses, or those before a uid.
func (s *site) jobs(w http.ResponseWriter, r *http.Request) error {
	view := jobsView{Title: "Jobs", Chosen: chosen(r.URL.Query()), Now: time.Now()}
	f, err := filter(r.URL.Query())
	if err != nil {
		return err
	}
	if view.Jobs, err = s.DB.Jobs(r.Context(), f); err != nil {
		return err
	}
	view.Older = len(view.Jobs) == pageSize
	counts, err := s.DB.Counts(r.Context())
	if err != nil {
		return err
	}
	for _, state := range plague.JobStates() {
		if counts[state] > 0 {
			view.Counts = append(view.Counts, stateCount{state, counts[state]})
		}
	}
	targets := s.Targets()
	for i := range targets {
		view.Targets = append(view.Targets, targets[i].String())
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	return s.pages.ExecuteTemplate(w, "jobs.html", view)
}

// filter reads what an address chooses: status, user, package, target, and before.
func filter(q url.Values) (store.Filter, error) {
	f := store.Filter{User: q.Get("user"), Package: q.Get("package"), Target: q.Get("target"), Limit: pageSize}
	for _, word := range q["status"] {
		state, err := plague.NamedState(word)
		if err != nil {
			return f, err
		}
		f.States = append(f.States, state)
	}
	if before := q.Get("before"); before != "" {
		uid, err := strconv.ParseInt(before, 10, 64)
		if err != nil || uid < 1 {
			return f, plague.Refuse(plague.ErrInvalid, "before is not a job's number", "")
		}
		f.Before = plague.JobID(uid)
	}
	return f, nil
}

// chosen is what of an address chooses jobs, without the page.
func chosen(q url.Values) url.Values {
	c := url.Values{}
	for _, name := range []string{"status", "user", "package", "target"} {
		if len(q[name]) > 0 && q.Get(name) != "" {
			c[name] = q[name]
		}
	}
	return c
}

type stateCount struct {
	State plague.JobState
	N     int64
}

type jobsView struct {
	Title   string
	Jobs    []plague.Job
	Chosen  url.Values
	Counts  []stateCount
	Targets []string
	Older   bool
	Now     time.Time
}

// Next is the address of the next page.
func (v jobsView) Next() string {
	return v.Only("before", strconv.FormatInt(int64(v.Jobs[len(v.Jobs)-1].UID), 10))
}

// Only is the address of those of the chosen jobs that have this, too.
func (v jobsView) Only(name, value string) string {
	q := url.Values{name: {value}}
	for other, values := range v.Chosen {
		if other != name {
			q[other] = values
		}
	}
	return "/?" + q.Encode()
}
