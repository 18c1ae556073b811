package plague

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Machine is what a builder has beside slots. Zero: it does not say, as builders
// of an older version do.
type Machine struct {
	Memory     int64    // bytes of its own, or that its control group may have, whichever is less
	FreeMemory int64    // bytes of it that could be had now
	FreeDisk   int64    // bytes left on the disk that builds use
	Load       float64  // processes that ran or wanted to, as the mean of a minute
	Labels     []string // see ValidLabel
}

// Needs are what a build must have of its builder, by its target's file.
type Needs struct {
	Labels []string // all of them, sorted
	Memory int64    // bytes, of the machine
	Disk   int64    // bytes, free
}

// Larger adds to needs that a machine has more than one on which a build ran out of
// memory or disk. Those of one kind differ by a little, which is not more.
func (n Needs) Larger(kind FailureKind, than int64) Needs {
	more := than + than/16 + 1
	switch kind {
	case FailureMemory:
		n.Memory = max(n.Memory, more)
	case FailureDisk:
		n.Disk = max(n.Disk, more)
	}
	return n
}

// Met says whether a machine has what is needed. One that does not say what it
// has does not.
func (n Needs) Met(m Machine) bool { return n.Missing(m) == "" }

// Missing says which of the needs a machine does not meet; empty: none.
func (n Needs) Missing(m Machine) string {
	for _, l := range n.Labels {
		if !slices.Contains(m.Labels, l) {
			return "the label " + l
		}
	}
	switch {
	case n.Memory > m.Memory:
		return Size(n.Memory) + " of memory"
	case n.Disk > m.FreeDisk:
		return Size(n.Disk) + " of free disk"
	}
	return ""
}

// String is how a target's file says it, rounded: labels:ssd,big memory:16G disk:100G.
func (n Needs) String() string {
	var words []string
	if len(n.Labels) > 0 {
		words = append(words, "labels:"+strings.Join(n.Labels, ","))
	}
	if n.Memory > 0 {
		words = append(words, "memory:"+Size(n.Memory))
	}
	if n.Disk > 0 {
		words = append(words, "disk:"+Size(n.Disk))
	}
	return strings.Join(words, " ")
}

// ParseNeeds reads what String gives.
func ParseNeeds(text string) (n Needs, err error) {
	for _, word := range strings.Fields(text) {
		kind, value, _ := strings.Cut(word, ":")
		switch kind {
		case "labels":
			n.Labels = append(n.Labels, strings.Split(value, ",")...)
		case "memory":
			n.Memory, err = ParseSize(value)
		case "disk":
			n.Disk, err = ParseSize(value)
		default:
			err = fmt.Errorf("%q is none of labels:…, memory:… and disk:…", word)
		}
		if err != nil {
			return Needs{}, err
		}
	}
	for _, l := range n.Labels {
		if err := ValidLabel(l); err != nil {
			return Needs{}, err
		}
	}
	slices.Sort(n.Labels)
	n.Labels = slices.Compact(n.Labels)
	if n.String() == "" {
		return n, fmt.Errorf("nothing is needed: labels:ssd,big memory:16G disk:100G, or some of them")
	}
	return n, nil
}

const maxLabel = 64 // bytes

// ValidLabel says what keeps a word from being a label of builders: small letters,
// digits, and .-_ within.
func ValidLabel(label string) error {
	for i, c := range []byte(label) {
		inside := i > 0 && strings.IndexByte(".-_", c) >= 0
		if !inside && (c < 'a' || c > 'z') && (c < '0' || c > '9') || i >= maxLabel {
			return fmt.Errorf("%q is no label: small letters and digits, .-_ within, %d at most", label, maxLabel)
		}
	}
	if label == "" {
		return fmt.Errorf("a label is empty")
	}
	return nil
}

// units of sizes, each 1024 of the one before.
const units = "KMGTP"

// Size is a number of bytes for people, in units of 1024: 512M, 7.6G. Below 1K it is 0.
func Size(bytes int64) string {
	unit, n := -1, float64(bytes)
	for n >= 1024 && unit < len(units)-1 {
		n /= 1024
		unit++
	}
	if unit < 0 {
		return "0"
	}
	return strings.TrimSuffix(strconv.FormatFloat(n, 'f', 1, 64), ".0") + units[unit:unit+1]
}

// maxSize is far beyond any machine, and leaves room for sums.
const maxSize = 1 << 55

// ParseSize reads a size with its unit: 512M, 7.5G, 2T.
func ParseSize(text string) (int64, error) {
	wrong := fmt.Errorf("%q is no size such as 512M or 16G", text)
	if text == "" {
		return 0, wrong
	}
	last := len(text) - 1
	unit := strings.IndexByte(units, text[last])
	n, err := strconv.ParseFloat(text[:last], 64)
	if unit < 0 || err != nil || !(n > 0) {
		return 0, wrong
	}
	for range unit + 1 {
		n *= 1024
	}
	if n > maxSize {
		return 0, fmt.Errorf("%q is larger than any machine", text)
	}
	return int64(n), nil
}

// A Meter says how the memory of a build was measured.
type Meter string

const (
	MeterGroup   Meter = "group"   // all of its processes together, by their control group
	MeterProcess Meter = "process" // the largest of them alone: there was no control group
)

// Usage is what an attempt used at most. Zero: that was not measured.
type Usage struct {
	Memory int64 // bytes that could not be given back
	Meter  Meter // of Memory
	Disk   int64 // bytes
}

// Learned is what a package's builds for an arch took and used before. Zero: it is not
// known.
type Learned struct {
	Took   time.Duration // the last one, from its assignment to its end
	Memory int64         // bytes
	Disk   int64         // bytes
}

// After is what is known when one more build has ended well: the time that it took, and
// of what it used, less than before counts half: one that had fewer processors does not
// say what the next will use.
func (l Learned) After(took time.Duration, u Usage) Learned {
	l.Took = took
	for _, one := range []struct {
		known *int64
		used  int64
	}{{&l.Memory, u.Memory}, {&l.Disk, u.Disk}} {
		if one.used > 0 {
			*one.known = max(one.used, *one.known-(*one.known-one.used)/2)
		}
	}
	return l
}
