package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"plague"
	"plague/internal/buildlog"
	"plague/internal/store"
)

// caller brings events to one hook, in their order. What was not accepted is
// brought again; nothing later overtakes it.
type caller struct {
	*Notifier
	hook   Hook
	client *http.Client
	seen   plague.EventID // newest event that was looked at
	claim  *store.Hook    // nil: this server does not bring them
	until  time.Time      // when the claim has to be made anew
	rest   time.Time      // no try before
}

func (n *Notifier) callHook(ctx context.Context, h Hook) error {
	w := n.DB.Subscribe(store.TopicEvents)
	defer w.Close()
	c := &caller{Notifier: n, hook: h, client: h.client(n.Options.Timeout), seen: n.places[h.Name]}
	defer c.client.CloseIdleConnections()
	defer c.release(ctx)
	for {
		more, err := c.bring(ctx)
		if err != nil {
			c.claim = nil // whatever it was: look again at where the hook is
		}
		n.trouble(ctx, "calling hook "+h.Name, err)
		if more {
			continue
		}
		if !store.Wait(ctx, w.C, n.Options.Tick) {
			return ctx.Err()
		}
		if pause := time.Until(c.rest); pause > 0 && !store.Wait(ctx, nil, pause) {
			return ctx.Err()
		}
	}
}

// release lets another server go on at once.
func (c *caller) release(ctx context.Context) {
	ctx, cancel := afterwards(ctx)
	defer cancel()
	if err := c.DB.ReleaseHook(ctx, c.hook.Name, c.Name); err != nil {
		c.Log.WarnContext(ctx, "a hook's claim lasts until its lease is over", "hook", c.hook.Name, "error", err)
	}
}

// wanted is an event for the hook, with its job.
type wanted struct {
	plague.Event
	job *plague.Job
}

// bring brings the next batch; more says that another may be there.
func (c *caller) bring(ctx context.Context) (more bool, err error) {
	es, err := c.DB.Events(ctx, c.seen, batch)
	if err != nil || len(es) == 0 {
		return false, err
	}
	if c.claim == nil {
		if ours, err := c.claimed(ctx); err != nil || !ours {
			return false, err
		}
	}
	if c.claim.Event > c.seen {
		c.seen = c.claim.Event // another server was here
		return true, nil
	}
	list, err := c.choose(ctx, es)
	if err != nil {
		return false, err
	}
	if list, err = c.tooOld(ctx, list); err != nil {
		return false, err
	}
	for _, w := range list {
		if done, err := c.one(ctx, w); err != nil || !done {
			return false, err
		}
		c.seen = w.ID
	}
	c.seen = es[len(es)-1].ID
	if c.seen-c.claim.Event >= behind { // for each event it would cost a commit
		if err := c.pass(ctx, c.seen); err != nil {
			return false, err
		}
	}
	return len(es) == batch, nil
}

// choose finds what the hook wants.
func (c *caller) choose(ctx context.Context, es []plague.Event) ([]wanted, error) {
	jobs := map[plague.JobID]*plague.Job{}
	var list []wanted
	for _, e := range es {
		if !c.hook.kind(e.What) {
			continue
		}
		if e.Job != 0 && jobs[e.Job] == nil {
			j, err := c.DB.Job(ctx, e.Job)
			if err == nil {
				jobs[e.Job] = &j
			} else if !errors.Is(err, plague.ErrNotFound) {
				return nil, err
			}
		}
		if c.hook.concerns(e, jobs[e.Job]) {
			list = append(list, wanted{e, jobs[e.Job]})
		}
	}
	return list, nil
}

// claimed makes the claim, or makes it last longer.
func (c *caller) claimed(ctx context.Context) (bool, error) {
	now := time.Now()
	if c.claim != nil && now.Before(c.until) {
		return true, nil
	}
	h, err := c.DB.ClaimHook(ctx, now, c.hook.Name, c.Name, c.Options.Lease)
	c.claim, c.until = h, now.Add(c.Options.Lease/2)
	return h != nil, err
}

// tooOld passes over what nobody wants to hear of any more.
func (c *caller) tooOld(ctx context.Context, list []wanted) ([]wanted, error) {
	n := 0
	for n < len(list) && time.Since(list[n].At) > c.Options.GiveUp {
		n++
	}
	if n == 0 {
		return list, nil
	}
	if ours, err := c.claimed(ctx); err != nil || !ours {
		return nil, err
	}
	to := list[n-1].ID
	c.Log.ErrorContext(ctx, "events not delivered in time", "hook", c.hook.Name, "events", n, "up_to", to)
	if err := c.DB.SkipHook(ctx, time.Now(), c.claim, c.Name, to, n); err != nil {
		return nil, err
	}
	c.claim.Event = to
	return list[n:], nil
}

// pass moves the cursor over what the hook does not want.
func (c *caller) pass(ctx context.Context, to plague.EventID) error {
	if ours, err := c.claimed(ctx); err != nil || !ours {
		return err
	}
	if err := c.DB.Delivered(ctx, c.claim, c.Name, to, nil); err != nil {
		return err
	}
	c.claim.Event = to
	return nil
}

// one makes one delivery and writes down what came of it.
func (c *caller) one(ctx context.Context, w wanted) (done bool, err error) {
	if ours, err := c.claimed(ctx); err != nil || !ours {
		return false, err
	}
	a := c.call(ctx, w)
	if a.Error == "" {
		ctx, cancel := afterwards(ctx)
		defer cancel()
		if err := c.DB.Delivered(ctx, c.claim, c.Name, w.ID, &a); err != nil {
			return false, err // it is brought again, under the same name
		}
		c.claim.Event, c.claim.Tries = w.ID, 0
		return true, nil
	}
	if ctx.Err() != nil {
		return false, ctx.Err() // cut off: what became of it nobody knows
	}
	pause := c.Options.backoff(c.claim.Tries)
	c.Log.WarnContext(ctx, "hook did not take an event", "hook", c.hook.Name, "event", w.ID, "status", a.Status, "tries", c.claim.Tries+1, "error", a.Error)
	c.rest = time.Now().Add(pause)
	err = c.DB.HookLater(ctx, c.claim, c.Name, c.rest, &a)
	c.claim = nil
	return false, err
}

// maxAnswer is how much of an answer is read.
const maxAnswer = 4 << 10

// call makes one try. Anything but a 2xx is a failure, a redirect too.
func (c *caller) call(ctx context.Context, w wanted) store.Answer {
	a := store.Answer{Event: w.ID, At: time.Now()}
	status, err := c.post(ctx, w)
	a.Took, a.Status = time.Since(a.At), status
	if err != nil {
		a.Error = buildlog.OneLine(err.Error())
	}
	return a
}

func (c *caller) post(ctx context.Context, w wanted) (status int, err error) {
	body, err := json.Marshal(delivery{Farm: c.farm, Event: eventOf(w.Event), Job: jobOf(w.job)})
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.hook.URL, bytes.NewReader(body))
	if err != nil {
		return 0, errors.New("the hook's address cannot be called")
	}
	at := strconv.FormatInt(time.Now().Unix(), 10)
	for name, value := range map[string]string{
		"Content-Type": "application/json", "User-Agent": "plague-hook/1", "Plague-Delivery": fmt.Sprintf("%s-%d", c.farm, w.ID),
		"Plague-Timestamp": at, "Plague-Signature": "sha256=" + sign(c.hook.Secret, at, body),
	} {
		req.Header.Set(name, value)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return 0, unwrapURL(err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode/100 == 2 {
		return resp.StatusCode, nil
	}
	if err != nil || len(said) == 0 {
		return resp.StatusCode, errors.New(resp.Status)
	}
	return resp.StatusCode, fmt.Errorf("%s: %s", resp.Status, said)
}

// sign is the signature of a call: HMAC-SHA256 over its time, a dot and the
// body, hexadecimal. With the time in it an old call cannot be made again.
func sign(secret, at string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(at + "."))
	mac.Write(body)
	return fmt.Sprintf("%x", mac.Sum(nil))
}
