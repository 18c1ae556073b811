package auth

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"plague"
)

func TestChange(t *testing.T) {
	now := plague.User{Email: "a@example.com", Capabilities: []plague.Capability{plague.OwnJobs, plague.ModifyUsers}}
	for _, tt := range []struct {
		verb, email, words string
		there              bool
		want               string // capabilities, or
		kind               error
		says               string
	}{
		{AddUser, "b@example.com", "server_admin own_jobs", false, "own_jobs server_admin", nil, ""},
		{AddUser, "b@example.com", "user_admin job_admin job_admin", false, "kill_any_job modify_users", nil, ""},
		{AddUser, "a@example.com", "own_jobs", true, "", plague.ErrConflict, "exists already"},
		{AddUser, "b@example.com", "own_job", false, "", plague.ErrInvalid, "did you mean own_jobs?"},
		{AddUser, "b@example.com", "everything", false, "", plague.ErrInvalid, "the privileges are own_jobs, kill_any_job"},
		{AddUser, "b", "own_jobs", false, "", plague.ErrInvalid, "e-mail address"},
		{AddUser, "b@c@d", "own_jobs", false, "", plague.ErrInvalid, "e-mail address"},
		{AddUser, "b\r\nBcc: x@example.com", "own_jobs", false, "", plague.ErrInvalid, "e-mail address"},
		{AddUser, strings.Repeat("b", 250) + "@example.com", "own_jobs", false, "", plague.ErrInvalid, "e-mail address"},
		{ModifyUser, "a@example.com", "-own_jobs +kill_any_job", true, "kill_any_job modify_users", nil, ""},
		{ModifyUser, "a@example.com", "+own_jobs -kill_any_job", true, "own_jobs modify_users", nil, ""},
		{ModifyUser, "a@example.com", "own_jobs", true, "", plague.ErrInvalid, "must begin with + or -"},
		{ModifyUser, "a@example.com", "+own", true, "", plague.ErrInvalid, "is unknown"},
		{ModifyUser, "a@example.com", "+", true, "", plague.ErrInvalid, "is unknown"},
		{ModifyUser, "b@example.com", "+own_jobs", false, "", plague.ErrNotFound, "doesn't exist"},
		{DeleteUser, "a@example.com", "", true, "own_jobs modify_users", nil, ""},
		{DeleteUser, "b@example.com", "", false, "", plague.ErrNotFound, "doesn't exist"},
		{"promote", "a@example.com", "", true, "", plague.ErrInvalid, "unknown change"},
	} {
		u := plague.User{}
		if tt.there {
			u = now
		}
		got, err := Change{tt.verb, tt.email, strings.Fields(tt.words)}.Apply(u, tt.there)
		var words []string
		for _, c := range got.Capabilities {
			words = append(words, string(c))
		}
		switch {
		case tt.kind == nil && (err != nil || strings.Join(words, " ") != tt.want || got.Email != tt.email):
			t.Errorf("%s %s %s: %+v, %v", tt.verb, tt.email, tt.words, got, err)
		case tt.kind != nil && (!errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.says)):
			t.Errorf("%s %s %s: %v, want %v with %q", tt.verb, tt.email, tt.words, err, tt.kind, tt.says)
		}
	}
	if !slices.Equal(now.Capabilities, []plague.Capability{plague.OwnJobs, plague.ModifyUsers}) {
		t.Errorf("the user himself was changed: %v", now.Capabilities)
	}
}
