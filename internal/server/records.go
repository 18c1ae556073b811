package server

import (
	"context"
	"time"

	"plague"
	"plague/internal/store"
	"plague/internal/wire"
)

// maxEventWait is the longest that a call waits for an event.
const maxEventWait = 30 * time.Second

// records turns jobs into what list_jobs and detail_job show.
func (s *Server) records(ctx context.Context, jobs []plague.Job) ([]wire.JobRecord, error) {
	uids := make([]plague.JobID, len(jobs))
	for i, j := range jobs {
		uids[i] = j.UID
	}
	arches, err := s.DB.ArchJobsOf(ctx, uids)
	if err != nil {
		return nil, err
	}
	rs := []wire.JobRecord{}
	for _, j := range jobs {
		rs = append(rs, s.record(j, arches[j.UID]))
	}
	return rs, nil
}

func (s *Server) record(j plague.Job, arches []plague.ArchJob) wire.JobRecord {
	r := wire.JobRecord{
		Uid: j.UID, Package: j.Package, Source: j.Source, Username: j.User, Status: string(j.State),
		Starttime: unix(j.QueuedAt), Endtime: unix(j.EndedAt),
		RpmEpoch: j.Epoch, RpmVersion: j.Version, RpmRelease: j.Release, Archjobs: []wire.ArchJobRecord{},
		Target: j.Target, Run: j.Run, Scratch: j.Scratch, WaitsFor: j.After, Priority: j.Priority, Reason: j.Reason, Snapshot: j.Snapshot,
		Results: ResultDir(j), Final: j.Final(), Resting: j.Resting(), SubmittedAt: unix(j.SubmittedAt),
	}
	if t := s.target(j.Target); t != nil {
		r.TargetDistro, r.TargetTarget, r.TargetRepo = t.Distro, t.Target, t.Repo
	}
	for _, a := range arches {
		r.Archjobs = append(r.Archjobs, wire.ArchJobRecord{
			Jobid: a.ID, ParentUid: a.Job, Starttime: unix(a.BegunAt), Endtime: unix(a.EndedAt), Arch: a.Arch,
			BuilderAddr: a.Builder, Status: string(a.State), BuilderStatus: string(a.Phase), Attempt: a.Attempt, Reason: a.Reason,
		})
	}
	return r
}

// events gives what happened after a cursor. A caller that waits is woken by
// the next event, whichever it is, and asks again if it was not for him.
func (s *Server) events(ctx context.Context, f wire.EventsFilter) (wire.Events, error) {
	if _, err := s.caller(ctx); err != nil {
		return wire.Events{}, err
	}
	limit := f.Limit
	if limit <= 0 || limit > 1000 {
		limit = 100
	}
	if f.Since < 0 { // the caller wants what happens from now on
		last, err := s.DB.LastEvent(ctx)
		return wire.Events{Events: []plague.Event{}, Next: last}, err
	}
	w := s.DB.Subscribe(store.TopicEvents)
	defer w.Close()
	ctx, cancel := context.WithTimeout(ctx, min(max(f.Wait, 0), maxEventWait)+time.Minute)
	defer cancel()
	until := time.Now().Add(min(f.Wait, maxEventWait))
	up, end := s.whileUp(ctx)
	defer end()
	for {
		all, err := s.DB.Events(ctx, f.Since, limit)
		if err != nil {
			return wire.Events{}, err
		}
		out := wire.Events{Events: []plague.Event{}, Next: f.Since}
		for _, e := range all {
			out.Next = e.ID
			if f.Job == 0 || e.Job == f.Job {
				out.Events = append(out.Events, e)
			}
		}
		f.Since = out.Next
		if len(out.Events) > 0 || !time.Now().Before(until) {
			return out, nil
		}
		if len(all) < limit && !store.Wait(up, w.C, min(time.Until(until), s.Options.Tick)) {
			return out, nil
		}
	}
}

// unix is a time in the calls of 2005: seconds, 0 for none.
func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
