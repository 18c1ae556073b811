package notify

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"plague"
)

// request is what a reader asks for.
type request struct {
	sse    bool
	follow bool
	since  plague.EventID // -1: from the end
	job    plague.JobID
	wait   time.Duration
	limit  int
}

// Limits of what a reader may ask for.
const (
	maxLines    = 10_000
	longestWait = time.Minute
)

// parse reads a request; what is wrong with it is for its sender.
func parse(r *http.Request) (request, error) {
	q := request{since: -1, limit: maxLines}
	form := r.URL.Query()
	q.sse = strings.Contains(r.Header.Get("Accept"), "text/event-stream")
	q.follow = q.sse || form.Get("follow") == "1"
	since := form.Get("since")
	if last := r.Header.Get("Last-Event-ID"); q.sse && last != "" {
		since = last // the newest that a browser has: newer than the address it was given
	}
	if since == "" && !q.follow {
		since = "0"
	}
	var wait, limit int64
	for _, o := range []struct {
		name, text string
		into       *int64
	}{{"since", since, (*int64)(&q.since)}, {"job", form.Get("job"), (*int64)(&q.job)}, {"wait", form.Get("wait"), &wait}, {"limit", form.Get("limit"), &limit}} {
		if o.text == "" {
			continue
		}
		n, err := strconv.ParseInt(o.text, 10, 64)
		if err != nil || n < 0 {
			return q, fmt.Errorf("%s is not a number", o.name)
		}
		*o.into = n
	}
	q.wait = min(time.Duration(min(wait, 3600))*time.Second, longestWait)
	if limit > 0 {
		q.limit = int(min(limit, maxLines))
	}
	return q, nil
}
