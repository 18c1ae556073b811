package server

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"plague"
	"plague/internal/store"
	"plague/internal/wire"
	"plague/internal/xmlrpc"
)

// A list has 50 jobs unless asked otherwise, and never more than 1000.
const (
	usualRows = 50
	mostRows  = 1000
)

// aheadAtMost is how much a caller's clock may be ahead of the server's.
const aheadAtMost = 5 * time.Minute

func (s *Server) jobs(ctx context.Context, f wire.ListFilter) ([]wire.JobRecord, error) {
	if _, err := s.caller(ctx); err != nil {
		return nil, err
	}
	filter, err := listFilter(f, time.Now())
	if err != nil {
		return nil, err
	}
	if f.Target != "" {
		t, err := s.resolve(f.Target)
		if err != nil {
			return nil, err
		}
		filter.Target = t.String()
	}
	jobs, err := s.DB.Jobs(ctx, filter)
	if err != nil {
		return nil, err
	}
	return s.records(ctx, jobs)
}

// listFilter turns a filter of the protocol into one of the store; the target is
// the server's to find.
func listFilter(f wire.ListFilter, now time.Time) (store.Filter, error) {
	out := store.Filter{User: f.Username, Package: f.Package, Before: f.Before, After: f.After, Limit: min(cmp.Or(f.Maxrows, usualRows), mostRows)}
	if out.Limit < 0 {
		return out, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%d jobs cannot be listed", f.Maxrows), fmt.Sprintf("maxrows is a number from 1 to %d", mostRows))
	}
	for _, word := range f.Status {
		state, err := plague.NamedState(word)
		if err != nil {
			return out, err
		}
		out.States = append(out.States, state)
	}
	for _, uid := range []plague.JobID{f.Before, f.After} {
		if uid < 0 {
			return out, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("there is no job %d", uid), "a page begins at a job that a list has shown")
		}
	}
	var err error
	if out.Oldest, err = oldestFirst(f.Orderby); err != nil {
		return out, err
	}
	out.Since, out.Until, err = between(f.Since, f.Until, now)
	return out, err
}

// oldestFirst reads the columns of 2005; all of them order by submission.
func oldestFirst(columns []string) (bool, error) {
	oldest := false
	for _, order := range columns {
		switch strings.ToLower(order) {
		case "uid", "uid asc", "starttime", "endtime":
			oldest = true
		case "uid desc", "starttime desc", "endtime desc", "status":
		default:
			return false, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("jobs cannot be ordered by %q", order), "uid and uid desc are the orders")
		}
	}
	return oldest, nil
}

// between reads unix seconds, 0 for none. What no job can lie in is refused: an
// empty list would hide the slip.
func between(since, until int64, now time.Time) (from, to time.Time, err error) {
	for _, bound := range []struct {
		name string
		unix int64
		into *time.Time
		hint string
	}{
		{"since", since, &from, "nothing has been submitted from then on: give an earlier time"},
		{"until", until, &to, "leave it out to list up to now"},
	} {
		switch {
		case bound.unix < 0:
			return from, to, plague.Refuse(plague.ErrInvalid, bound.name+" lies before 1970", "give a later time, or none")
		case bound.unix > now.Add(aheadAtMost).Unix():
			return from, to, plague.Refuse(plague.ErrInvalid, bound.name+" lies in the future", bound.hint)
		case bound.unix > 0:
			*bound.into = time.Unix(bound.unix, 0).UTC()
		}
	}
	if since > 0 && until > 0 && since >= until {
		return from, to, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("since (%s) is not before until (%s)", from.Format(time.RFC3339), to.Format(time.RFC3339)), "exchange them")
	}
	return from, to, nil
}

func (s *Server) targets(ctx context.Context, _ []any) (any, error) {
	if _, err := s.caller(ctx); err != nil {
		return nil, err
	}
	ts := []wire.TargetRecord{}
	offered := s.Offered()
	for i := range offered {
		t := &offered[i]
		ts = append(ts, wire.TargetRecord{Target: t.String(), Aliases: t.UserAliases})
	}
	return xmlrpc.Marshal(ts)
}
