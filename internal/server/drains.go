package server

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"

	"plague"
	"plague/internal/auth"
	"plague/internal/store"
	"plague/internal/wire"
)

// draining keeps in mind which builders are drained, wherever that was said.
func (s *Server) draining(ctx context.Context) error {
	w := s.DB.Subscribe(store.TopicBuilders)
	defer w.Close()
	for {
		ds, err := s.DB.Drains(ctx)
		if err == nil {
			s.roster.drain(ds)
		} else if ctx.Err() == nil {
			s.again(ctx, "asking which builders are drained", err)
		}
		if !store.Wait(ctx, w.C, rereadTick) {
			return ctx.Err()
		}
	}
}

// drain takes over which builders are drained, and wakes those for which that is news.
func (r *roster) drain(ds []store.Drain) {
	now := map[string]store.Drain{}
	for _, d := range ds {
		now[d.Builder] = d
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, poke := range r.pokes {
		if r.drains == nil || r.drains[name] != now[name] {
			signal(poke)
		}
	}
	r.drains = now
}

// drainOf says why a builder gets nothing new, if it is drained, or when it was resumed.
// Before the store was asked nobody knows.
func (r *roster) drainOf(name string) (why string, resumed time.Time, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d, was := r.drains[name]; was && d.EndedAt.IsZero() {
		why = d.String()
	} else {
		resumed = d.EndedAt
	}
	return why, resumed, r.drains != nil
}

// heed takes in that the builder was drained, or resumed: then it begins with a clean
// slate.
func (a *attendant) heed(ctx context.Context) error {
	why, resumed, known := a.s.roster.drainOf(a.link.Name)
	a.knows = known
	if why == a.drained && resumed.Equal(a.resumed) {
		return nil
	}
	if why == "" {
		a.setbacks, a.resting = 0, time.Time{}
	}
	a.drained, a.resumed = why, resumed
	return a.show(ctx, time.Now())
}

// drainBuilder keeps a builder from getting anything new.
func (s *Server) drainBuilder(ctx context.Context, in wire.Drain) (string, error) {
	if err := checkWhy(in.Why); err != nil {
		return "", err
	}
	u, err := s.mayBuilder(ctx, in.Name)
	if err != nil {
		return "", err
	}
	if err := s.DB.Drain(ctx, store.Drain{Builder: in.Name, At: time.Now(), Who: u.Email, Why: in.Why}); err != nil {
		return "", err
	}
	s.Log.InfoContext(ctx, "builder drained", "builder", in.Name, "user", u.Email, "reason", in.Why)
	return fmt.Sprintf("Builder %s is drained: what it builds it ends, and it gets nothing new.", in.Name), nil
}

// checkWhy refuses a reason that is no line.
func checkWhy(why string) error {
	if len(why) > wire.MaxWhy || strings.ContainsFunc(why, unicode.IsControl) {
		return plague.Refuse(plague.ErrInvalid, "the reason is too long or has control characters", fmt.Sprintf("say it in one line of at most %d bytes", wire.MaxWhy))
	}
	return nil
}

// resumeBuilder ends a drain.
func (s *Server) resumeBuilder(ctx context.Context, name string) (string, error) {
	u, err := s.mayBuilder(ctx, name)
	if err != nil {
		return "", err
	}
	if err := s.DB.Resume(ctx, time.Now(), u.Email, name); err != nil {
		return "", err
	}
	s.Log.InfoContext(ctx, "builder resumed", "builder", name, "user", u.Email)
	return fmt.Sprintf("Builder %s takes work again.", name), nil
}

// mayBuilder checks that the caller may change a builder, and that there is one.
func (s *Server) mayBuilder(ctx context.Context, name string) (plague.User, error) {
	u, err := s.may(ctx, auth.Drain, "")
	if err == nil {
		err = s.isBuilder(name)
	}
	return u, err
}

// isBuilder offers the nearest name when there is no such builder.
func (s *Server) isBuilder(name string) error {
	if _, there := s.roster.find(name); there {
		return nil
	}
	names := s.roster.names()
	hint := "the builders are " + strings.Join(names, ", ")
	if near := plague.Nearest(name, names); near != "" {
		hint = fmt.Sprintf("did you mean %s?", near)
	}
	return plague.Refuse(plague.ErrNotFound, fmt.Sprintf("there is no builder %q", name), hint)
}

// pastShown is how many attempts that ended on a builder are shown of it.
const pastShown = 20

// builder shows one builder with what runs on it, and what ended there last.
func (s *Server) builder(ctx context.Context, name string) (wire.BuilderDetail, error) {
	var d wire.BuilderDetail
	if _, err := s.caller(ctx); err != nil {
		return d, err
	}
	if err := s.isBuilder(name); err != nil {
		return d, err
	}
	records, err := s.builderRecords(ctx)
	if err != nil {
		return d, err
	}
	for _, r := range records {
		if r.Name == name {
			d.BuilderRecord = r
		}
	}
	held, err := s.DB.Held(ctx, name)
	if err != nil {
		return d, err
	}
	d.Running, d.Ended = []wire.BuilderAttempt{}, []wire.BuilderAttempt{}
	for _, h := range held {
		d.Running = append(d.Running, wire.BuilderAttempt{Uid: h.Job, Package: h.JobRow.Package, Arch: h.Arch, Attempt: h.Attempt, Status: string(h.State), Phase: string(h.Phase), Starttime: unix(h.BegunAt)})
	}
	past, err := s.DB.PastOf(ctx, name, time.Time{}, pastShown)
	for _, p := range past {
		d.Ended = append(d.Ended, wire.BuilderAttempt{Uid: p.Job, Package: p.Package, Arch: p.Arch, Attempt: p.Number, Status: p.Outcome, Starttime: unix(p.BegunAt), Endtime: unix(p.EndedAt), Reason: p.Reason, Used: p.Used})
	}
	return d, err
}
