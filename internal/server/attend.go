package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"plague"
	"plague/internal/store"
	"plague/internal/wire"
)

// attendant is what the leader knows of one builder in this term. Only the
// loop that attends to the builder touches it.
type attendant struct {
	s    *Server
	term store.Term
	link Link
	news *store.Waker // of what the builder should have

	held     holdings
	sequence *int64                     // of the newest orders of this term
	namedIn  map[plague.AttemptID]int64 // sequence of the orders that first named an attempt
	report   *plague.Report             // newest; nil: none in this term
	heard    time.Time                  // when it came, or when waiting for it began
	refusing time.Time                  // since when it refuses connections; zero: it does not
	gone     map[string]int64           // instances that another has taken the place of: the newest orders by then
	trouble  string                     // why it does not answer; empty: it does
	resting  time.Time                  // it had a setback: nothing new before this time
	setbacks int                        // in a row
	setback  string                     // what the last one was
	clock    string                     // how far its clock is off; empty: it is not
	drained  string                     // by whom and why it is; empty: it is not
	knows    bool                       // whether it is drained was asked
	resumed  time.Time                  // when its last drain ended
	examined time.Time                  // when it was last looked at whether it is sick
	double   string                     // why it is suspended until a new daemon answers: two of them under one name
	shown    plague.Builder             // as last written to the store
	tails    tails
}

// attend keeps a builder in step until the term ends: orders out, reports in,
// whichever side has news. A call that waits on the builder for news is left
// behind, not cut off, when newer orders go out: the builder answers it then. sequence
// counts the orders of this term, also over visits: a builder refuses lower ones.
func (s *Server) attend(ctx context.Context, term store.Term, link Link, sequence *int64) error {
	w := s.DB.Subscribe(store.TopicOrders, store.OrdersOf(link.Name))
	defer w.Close()
	a := &attendant{
		s: s, term: term, link: link, news: w, sequence: sequence, heard: time.Now(),
		namedIn: map[plague.AttemptID]int64{}, gone: map[string]int64{},
		tails: tails{s: s, link: link, running: map[plague.AttemptID]context.CancelFunc{}},
	}
	defer a.tails.stop()
	answers := make(chan answer)
	flying := 0
	newest := int64(0) // sequence of the newest orders while they are not answered: an older call may hang, and is not waited for
	defer func() {
		for ; flying > 0; flying-- {
			<-answers
		}
	}()
	calls, cut := context.WithCancel(ctx)
	defer cut() // before the wait above: parked calls end first
	for sent := ""; ; {
		o, err := a.orders(ctx)
		if err != nil {
			a.renew() // without orders nobody was asked: that is no silence
		}
		if err := s.over(ctx, "giving orders to "+link.Name, err); err != nil {
			return err
		}
		if wants := gist(o); err == nil && (flying == 0 || flying == 1 && (newest == 0 || wants != sent)) {
			sent, newest = wants, o.Sequence
			flying++
			a.describe(o)
			go func() { answers <- a.call(calls, o) }()
		}
		ans, err := a.next(ctx, answers, flying)
		if ans != nil {
			flying-- // whatever ended the wait: the answer has come
			if ans.to == newest {
				newest = 0
			}
		}
		if err != nil {
			return err
		}
		if ans != nil {
			if err := s.over(ctx, "taking the report of "+link.Name, a.take(ctx, *ans)); err != nil {
				return err
			}
			if a.trouble != "" || a.double != "" {
				store.Wait(ctx, s.roster.pokeOf(link.Name), retryPause)
				a.held.known = false // the poke may have been of an assignment
			}
		}
	}
}

// gist is what two orders must differ in to be worth a second call.
func gist(o plague.Orders) string {
	var b strings.Builder
	for _, at := range o.Attempts {
		fmt.Fprintln(&b, at.AttemptID, at.Verb)
	}
	return b.String()
}

// answer is the outcome of one sync.
type answer struct {
	to     int64 // sequence of the orders it answers
	report plague.Report
	err    error
}

func (a *attendant) call(ctx context.Context, o plague.Orders) answer {
	ctx, cancel := context.WithTimeout(ctx, o.Wait+a.s.Options.Lease/4)
	defer cancel()
	r, err := a.link.RPC.Sync(ctx, o)
	return answer{to: o.Sequence, report: r, err: err}
}

// retryPause is how long a builder is left alone that cannot be reached, or whose
// answers are of no use and would come at once for ever.
const retryPause = time.Second

// next waits for an answer or for a reason to give new orders. With two calls
// under way only an answer counts.
func (a *attendant) next(ctx context.Context, answers <-chan answer, flying int) (*answer, error) {
	wake, poke := a.news.C, (<-chan struct{})(a.s.roster.pokeOf(a.link.Name))
	if flying == 2 {
		wake, poke = nil, nil
	}
	tick := time.NewTimer(a.s.Options.Tick)
	defer tick.Stop()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-wake:
	case <-poke:
	case <-tick.C: // a wake-up may have been lost
	case ans := <-answers:
		return &ans, ctx.Err()
	}
	a.held.known = false
	return nil, nil
}

// orders makes the next orders. The newest report was taken in before, so what
// it names and the store does not is no longer wanted.
func (a *attendant) orders(ctx context.Context) (plague.Orders, error) {
	held, err := a.holds(ctx)
	if err != nil {
		return plague.Orders{}, err
	}
	if err := a.heed(ctx); err != nil {
		return plague.Orders{}, err
	}
	*a.sequence++
	o := plague.Orders{Farm: a.s.farm, Software: a.s.Software, Term: int64(a.term), Sequence: *a.sequence, Wait: wire.MaxWait}
	if a.trouble != "" {
		o.Wait = 0 // a line that breaks sooner than news come would never be heard of, and its lease run out
	}
	var reported []plague.AttemptReport
	if a.report != nil {
		o.Instance, o.Seen = a.report.Instance, a.report.Version
		reported = a.report.Attempts
	}
	o.Attempts = orders(held, reported)
	a.tails.keep(ctx, held)
	a.s.setCapacity(a.room()) // a rest may be over
	for _, h := range held {
		id := attemptOf(h)
		if _, known := a.namedIn[id]; !known {
			a.namedIn[id] = *a.sequence
		}
	}
	return o, nil
}

// describe adds to the newest orders what there is to do: that is dear, and most orders
// are not sent, for they say what was said before.
func (a *attendant) describe(o plague.Orders) {
	var arches []string
	if a.report != nil {
		arches = a.report.Arches
	}
	for i, h := range a.held.rows {
		o.Attempts[i].Work = a.s.work(h, arches)
	}
}

// take takes in one answer.
func (a *attendant) take(ctx context.Context, ans answer) error {
	now := time.Now()
	if ans.err != nil {
		return a.silence(ctx, now, ans.err)
	}
	if why := a.foreign(ans.report); why != "" {
		return a.silence(ctx, now, errors.New(why))
	}
	if old := a.report; old != nil && old.Instance == ans.report.Instance && ans.report.Version < old.Version {
		return nil // an older answer that was overtaken
	}
	if since, gone := a.gone[ans.report.Instance]; gone && ans.to <= since {
		return nil // what a daemon said before it was replaced, and came late
	}
	a.heard, a.refusing, a.trouble = now, time.Time{}, ""
	a.instance(ans.report)
	a.report, a.clock = &ans.report, clock(ans.report, now)
	err := a.apply(ctx, now)
	if err == nil && a.setbacks > 0 {
		err = a.examine(ctx, now)
	}
	if err != nil {
		a.renew()
		return err
	}
	return a.show(ctx, now)
}

// renew begins the builder's lease anew: the store was away, and silence counts
// only while the leader can hear and write.
func (a *attendant) renew() { a.heard, a.refusing = time.Now(), time.Time{} }

// foreign says why a report is not from the builder we know; empty: it is.
func (a *attendant) foreign(r plague.Report) string {
	apart := wire.Apart(a.s.Software, r.Software)
	switch {
	case r.Builder != a.link.Name:
		return fmt.Sprintf("it calls itself %q, not %q", r.Builder, a.link.Name)
	case apart != nil:
		return fmt.Sprintf("it is of version %s, the server of %s: %v", r.Software, a.s.Software, apart)
	case r.Farm != a.s.farm:
		return fmt.Sprintf("it obeys another farm (%s); `plague builder rebind` on it accepts this one", r.Farm)
	case r.Term > int64(a.term):
		return fmt.Sprintf("it has orders of a newer leader (term %d)", r.Term)
	}
	return ""
}

// instance notices two live daemons under one name: an instance that another
// has replaced speaks again.
func (a *attendant) instance(r plague.Report) {
	if a.report == nil || a.report.Instance == r.Instance {
		return
	}
	a.gone[a.report.Instance] = *a.sequence
	a.double = "" // one that was restarted begins with a clean slate
	if _, back := a.gone[r.Instance]; back {
		a.double = fmt.Sprintf("two daemons answer under the name %s; stop one of them, then restart the other", a.link.Name)
	}
}
