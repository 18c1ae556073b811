package rpm

import "testing"

func TestSameRelease(t *testing.T) {
	for _, tt := range []struct {
		asked, got string
		want       bool
	}{
		{"1", "1", true},
		{"1", "1.lab12", true},
		{"1.fc38", "1.fc40", true},
		{"0.1.rc2.fc38", "0.1.rc2.fc40", true},
		{"1.el9_4", "1", true},
		{"1", "2", false},
		{"1", "2.lab12", false},
		{"1.1", "1.2", false},
		{"1.1", "1", false},
		{"0.1.rc2.fc38", "0.1.rc3.fc40", false},
		{"1.", "1", false},
	} {
		if got := SameRelease(tt.asked, tt.got); got != tt.want {
			t.Errorf("SameRelease(%q, %q) = %v", tt.asked, tt.got, got)
		}
	}
}
