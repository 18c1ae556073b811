package plague

import (
	"reflect"
	"testing"
	"time"
)

func TestNeeds(t *testing.T) {
	for text, want := range map[string]Needs{
		"labels:ssd,big memory:16G disk:100G":       {Labels: []string{"big", "ssd"}, Memory: 16 << 30, Disk: 100 << 30},
		"disk:1.5T":                                 {Disk: 3 << 39},
		"labels:gpu labels:gpu,rhel9.2 memory:512M": {Labels: []string{"gpu", "rhel9.2"}, Memory: 512 << 20},
	} {
		got, err := ParseNeeds(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
		if again, err := ParseNeeds(got.String()); err != nil || !reflect.DeepEqual(again, want) {
			t.Errorf("%s, which was %s: %+v, %v", got, text, again, err)
		}
	}
	for _, text := range []string{"", "ssd", "labels:", "labels:SSD", "labels:a,,b", "labels:-a", "memory:16", "memory:G", "memory:-1G", "memory:NaNG", "memory:0G",
		"disk:1e9P", "disk:InfG", "slots:3", "memory: 16G"} {
		if n, err := ParseNeeds(text); err == nil {
			t.Errorf("%q was read as %+v", text, n)
		}
	}
	need, err := ParseNeeds("labels:ssd memory:16G disk:100G")
	if err != nil {
		t.Fatal(err)
	}
	for missing, m := range map[string]Machine{
		"":                  {Labels: []string{"a", "ssd"}, Memory: 16 << 30, FreeDisk: 1 << 40},
		"the label ssd":     {Memory: 16 << 30, FreeDisk: 1 << 40},
		"16G of memory":     {Labels: []string{"ssd"}, FreeDisk: 1 << 40},
		"100G of free disk": {Labels: []string{"ssd"}, Memory: 16 << 30, FreeDisk: 100<<30 - 1},
	} {
		if got := need.Missing(m); got != missing || need.Met(m) != (missing == "") {
			t.Errorf("%+v misses %q, want %q", m, got, missing)
		}
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 1023: "0", 1024: "1K", 8 << 30: "8G", 8161 << 20: "8G", 7800 << 20: "7.6G", 1 << 60: "1024P"} {
		if got := Size(n); got != want {
			t.Errorf("%d bytes are %s, want %s", n, got, want)
		}
	}
}

// What is learned goes up at once, and down by half.
func TestLearned(t *testing.T) {
	var l Learned
	for _, step := range []struct {
		used Usage
		want Learned
	}{
		{Usage{Memory: 800, Disk: 40}, Learned{time.Minute, 800, 40}},
		{Usage{Memory: 400}, Learned{time.Minute, 600, 40}},
		{Usage{Memory: 1000, Disk: 50}, Learned{time.Minute, 1000, 50}},
		{Usage{}, Learned{time.Minute, 1000, 50}},
	} {
		if l = l.After(time.Minute, step.used); l != step.want {
			t.Errorf("after %+v: %+v, want %+v", step.used, l, step.want)
		}
	}
}
