package buildroot_test

import (
	"strings"
	"testing"

	"plague"
)

// TestMockPinned: mock does not start with another state of the target's own repository
// than the one that orders name, and that is the farm's trouble.
func TestMockPinned(t *testing.T) {
	f := newMockFarm(t)
	own := repository(t, "own", map[string]string{"own-thing": "BuildArch: noarch\n%description\nMade here.\n%files\n"})
	own.Own = true
	s := f.spec(t, "tree")
	s.Repos = append(s.Repos, own)
	was := own.RepomdSHA256
	for _, tt := range []struct{ digest, url, says string }{
		{strings.Repeat("0", 64), own.URL, "repository own at " + own.URL + " has changed: its repomd.xml is " + was + ", this build is pinned to " + strings.Repeat("0", 64)},
		{was, own.URL + "/nowhere", "404"},
	} {
		s.Repos[1].RepomdSHA256, s.Repos[1].URL = tt.digest, tt.url
		r := f.build(t.Context(), t, s)
		if r.err != nil || r.Failure == nil || r.Failure.Kind != plague.FailureInfrastructure || r.Failure.Phase != plague.PhasePrepping || !strings.Contains(r.Failure.Message, tt.says) {
			t.Errorf("%+v: %v, %+v", tt, r.err, r.Failure)
		}
		if strings.Contains(r.job.String(), "starting") {
			t.Errorf("mock was started:\n%s", r.job.String())
		}
	}
	s.Repos[1].RepomdSHA256, s.Repos[1].URL = strings.ToUpper(was), own.URL+"/"
	f.good(t, s)
}
