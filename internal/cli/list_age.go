package cli

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"plague"
)

// ages is what commands that take times say about them.
const ages = `Times are ages (90m, 2h, 3d, 1w, 1d12h), dates (2026-11-23 or "2026-11-23 15:04:05",
in your own zone), or 2026-11-23T15:04:05Z. A date alone is its first second.
`

// ageFlag is a flag that takes a time, or how long ago that is.
type ageFlag struct {
	text string
	unix int64 // seconds; 0: it was not given
}

func (a *ageFlag) String() string { return a.text }
func (a *ageFlag) Type() string   { return "time" }

func (a *ageFlag) Set(text string) error {
	at, err := moment(text, time.Now())
	if err == nil {
		a.text, a.unix = text, at.Unix()
	}
	return err
}

// moment reads a time between 1970 and now.
func moment(text string, now time.Time) (time.Time, error) {
	at, ok := instant(text, now)
	if !ok {
		return at, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%q is no time", text), "give an age such as 90m, 2h, 3d or 1w, a date such as 2026-11-23, or 2026-11-23T15:04:05Z")
	}
	if at.Unix() < 1 {
		return at, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%s lies before 1970", text), "give a later time, or leave it out")
	}
	if at.After(now) {
		return at, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("%s lies in the future", text), "give an earlier time, or leave it out")
	}
	return at, nil
}

func instant(text string, now time.Time) (time.Time, bool) {
	for _, layout := range []string{time.DateOnly, time.DateTime, time.RFC3339} {
		if at, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return at, true
		}
	}
	seconds, ok := ageSeconds(text)
	if !ok {
		return time.Time{}, false
	}
	return time.Unix(now.Unix()-seconds, 0), true
}

// ageSeconds reads an age; what is longer than time itself is as long as that.
func ageSeconds(text string) (total int64, ok bool) {
	for text != "" {
		n := strings.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' })
		if n < 1 {
			return 0, false
		}
		count, err := strconv.ParseInt(text[:n], 10, 64)
		unit := map[byte]int64{'s': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 7 * 86400}[text[n]]
		if unit == 0 {
			return 0, false
		}
		if err != nil || count > (longest-total)/unit {
			count, total = 0, longest
		}
		total, text, ok = total+count*unit, text[n+1:], true
	}
	return total, ok
}

const longest = math.MaxInt64 / 4
