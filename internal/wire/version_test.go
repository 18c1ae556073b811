package wire

import (
	"errors"
	"strings"
	"testing"

	"plague"
)

func TestApart(t *testing.T) {
	for _, tt := range []struct {
		a, b  string
		apart bool
	}{
		{"1.0.0", "1.0.9", false},
		{"1.0.0", "1.1.0", false},
		{"1.9.3 0a1b2c", "1.10.0", false},
		{"1.0.0", "1.2.0", true},
		{"1.3.0-rc1", "1.1.7 0a1b2c", true},
		{"1.9.0", "2.0.0", true},
		{"1.1.0", "", false},
		{"7.7.7", "farmtest", false},
		{"7.7.7", "1.x.3", false},
		{"7.7.7", "1.-1.3", false},
		{"7.7.7", "1.1", false},
	} {
		for _, pair := range [][2]string{{tt.a, tt.b}, {tt.b, tt.a}} {
			err := Apart(pair[0], pair[1])
			if (err != nil) != tt.apart || tt.apart && (!errors.Is(err, plague.ErrConflict) || !strings.Contains(err.Error(), "more than one minor version apart")) {
				t.Errorf("%q and %q: %v, want apart: %v", pair[0], pair[1], err, tt.apart)
			}
		}
	}
}
