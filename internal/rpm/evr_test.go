package rpm_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"plague/internal/rpm"
)

// TestCompareAsRPM asks rpm itself about a table of the rules' corners and
// about thousands of pairs made of their parts.
func TestCompareAsRPM(t *testing.T) {
	pairs := [][2]string{
		{"1.0", "1.0"}, {"1.0", "2.0"}, {"2.0.1", "2.0.1a"}, {"5.5p1", "5.5p10"}, {"10xyz", "10.1xyz"}, {"xyz.4", "8"},
		{"1.0~rc1", "1.0"}, {"1.0~rc1", "1.0~rc2"}, {"1.0~", "1.0"}, {"1.0~~", "1.0~"}, {"1.0^", "1.0"}, {"1.0^git1", "1.0.1"},
		{"1.0^git1~pre", "1.0^git1"}, {"1.0~rc1^git1", "1.0~rc1"}, {"1.0^", "1.0~"}, {"1.0^^", "1.0^"}, {"1.0^20160101", "1.0.20160101"},
		{"001", "1"}, {"1.05", "1.5"}, {"0", "00"}, {"1.0", "1.000"}, {"~", "^"},
		{"99999999999999999999", "100000000000000000000"}, {"a", "1"}, {"A", "a"}, {"Z", "a"}, {"1a", "1.a"}, {"1_1", "1.1"}, {"1+", "1"},
		{"1..1", "1.1"}, {"_", "+"}, {"fc4", "fc.4"}, {"1.fc4", "1.fc4.1"}, {"2.0", "2_0"}, {"20", "2a"}, {"7.4.052", "7.4.629"},
	}
	rng := rand.New(rand.NewPCG(1, 2))
	parts := []string{"0", "1", "01", "10", "9", "a", "b", "A", "rc", "~", "^", ".", "_", "+", "~", "^", "."}
	random := func() string {
		var b strings.Builder
		for range 1 + rng.IntN(6) {
			b.WriteString(parts[rng.IntN(len(parts))])
		}
		return b.String()
	}
	for range 4000 {
		pairs = append(pairs, [2]string{random(), random()})
	}
	answers := vercmp(t, pairs)
	for i, p := range pairs {
		asVersion := rpm.EVR{Version: p[0], Release: "1"}.Compare(rpm.EVR{Version: p[1], Release: "1"})
		asRelease := rpm.EVR{Version: "1", Release: p[0]}.Compare(rpm.EVR{Version: "1", Release: p[1]})
		back := rpm.EVR{Version: p[1], Release: "1"}.Compare(rpm.EVR{Version: p[0], Release: "1"})
		if fmt.Sprint(asVersion) != answers[i] || asRelease != asVersion || back != -asVersion {
			t.Errorf("%q and %q: %d as version, %d as release, %d turned round; rpm says %s",
				p[0], p[1], asVersion, asRelease, back, answers[i])
		}
	}
}

// vercmp asks rpm, 500 pairs at a time: an argument has its limit.
func vercmp(t *testing.T, pairs [][2]string) []string {
	t.Helper()
	var answers []string
	for chunk := range slices.Chunk(pairs, 500) {
		var script strings.Builder
		for _, p := range chunk {
			fmt.Fprintf(&script, "print(rpm.vercmp(%q, %q) .. '\\n') ", p[0], p[1])
		}
		answers = append(answers, strings.Fields(run(t, t.TempDir(), "rpm", "--eval", "%{lua: "+script.String()+"}"))...)
	}
	if len(answers) != len(pairs) {
		t.Fatalf("rpm gave %d answers to %d questions", len(answers), len(pairs))
	}
	return answers
}

func TestCompareOrder(t *testing.T) {
	for _, c := range []struct {
		a, b rpm.EVR
		want int
	}{
		{rpm.EVR{Epoch: 1, Version: "1", Release: "1"}, rpm.EVR{Version: "9", Release: "9"}, 1},
		{rpm.EVR{Version: "1", Release: "9"}, rpm.EVR{Version: "2", Release: "1"}, -1},
		{rpm.EVR{Version: "1", Release: "2"}, rpm.EVR{Version: "1", Release: "10"}, -1},
		{rpm.EVR{Epoch: 2, Version: "1.0", Release: "1"}, rpm.EVR{Epoch: 2, Version: "1.0", Release: "1"}, 0},
	} {
		if got := c.a.Compare(c.b); got != c.want {
			t.Errorf("%s against %s is %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
