package server

import (
	"context"
	"maps"
	"slices"

	"plague"
	"plague/internal/store"
	"plague/internal/wire"
	"plague/internal/xmlrpc"
)

// status says how the farm as a whole is. It reads no more, however many jobs there
// were.
func (s *Server) status(ctx context.Context, _ []any) (any, error) {
	if _, err := s.caller(ctx); err != nil {
		return nil, err
	}
	var st wire.FarmStatus
	var err error
	if st.Paused, st.PausedBy, err = s.DB.Paused(ctx); err != nil {
		return nil, err
	}
	if st.Jobs, err = s.jobCounts(ctx); err != nil {
		return nil, err
	}
	oldest, err := s.DB.Jobs(ctx, store.Filter{States: []plague.JobState{plague.JobWaiting}, Oldest: true, Limit: 1})
	if err != nil {
		return nil, err
	}
	for _, j := range oldest {
		st.OldestWaiting, st.WaitingSince = j.UID, unix(j.QueuedAt)
	}
	builders, err := s.builderRecords(ctx)
	if err != nil {
		return nil, err
	}
	for _, b := range builders {
		st.Builders++
		if b.Suspended != "" {
			st.Suspended++
		}
		if b.Alive {
			st.Alive++
			st.Slots += b.NumSlots
			st.FreeSlots += b.FreeSlots
		}
	}
	st.Configuration = s.catalogue.refused()
	if st.MailsLate, st.HooksLate, err = s.late(ctx); err != nil {
		return nil, err
	}
	if st.Unmet, err = s.unmet(ctx); err != nil {
		return nil, err
	}
	st.Plans = s.plans.told()
	return xmlrpc.Marshal(st)
}

// unmet says which arch jobs wait for what no builder has. It looks at those alone of
// whose packages a target says what they need.
func (s *Server) unmet(ctx context.Context) ([]string, error) {
	var packages []string
	offered := s.Offered()
	for i := range offered {
		packages = slices.AppendSeq(packages, maps.Keys(offered[i].Constraints))
	}
	slices.Sort(packages)
	return s.Why.Unmet(ctx, slices.Compact(packages), wire.MaxUnmet)
}

func (s *Server) counts(ctx context.Context, _ []any) (any, error) {
	if _, err := s.caller(ctx); err != nil {
		return nil, err
	}
	named, err := s.jobCounts(ctx)
	if err != nil {
		return nil, err
	}
	return xmlrpc.Marshal(named)
}

// jobCounts is the number of jobs in each state.
func (s *Server) jobCounts(ctx context.Context) (map[string]int, error) {
	counts, err := s.DB.Counts(ctx)
	if err != nil {
		return nil, err
	}
	named := map[string]int{}
	for _, state := range plague.JobStates() {
		named[string(state)] = int(counts[state])
	}
	return named, nil
}

func (s *Server) listBuilders(ctx context.Context, _ []any) (any, error) {
	if _, err := s.caller(ctx); err != nil {
		return nil, err
	}
	rs, err := s.builderRecords(ctx)
	if err != nil {
		return nil, err
	}
	return xmlrpc.Marshal(rs)
}

// builderRecords are the builders of the configuration as the store knows them.
func (s *Server) builderRecords(ctx context.Context) ([]wire.BuilderRecord, error) {
	known, err := s.DB.Builders(ctx)
	if err != nil {
		return nil, err
	}
	byName := map[string]plague.Builder{}
	for _, b := range known {
		byName[b.Name] = b
	}
	rs := []wire.BuilderRecord{}
	links, _ := s.roster.now()
	for _, link := range links {
		b := byName[link.Name]
		r := wire.BuilderRecord{
			Address: link.URL, Name: link.Name, Arches: b.Arches, Alive: b.Alive, NumSlots: b.Slots, FreeSlots: b.Free,
			Suspended: b.Suspended, Targets: b.Targets, Seen: unix(b.SeenAt), Mode: "passive",
			Memory: b.Machine.Memory, FreeMemory: b.Machine.FreeMemory, FreeDisk: b.Machine.FreeDisk, Load: b.Machine.Load, Labels: b.Machine.Labels,
		}
		if link.Dialled != nil {
			from, since := link.Dialled()
			r.Mode, r.DialledFrom, r.DialledAt = "active", from, unix(since)
		}
		rs = append(rs, r)
	}
	return rs, nil
}
