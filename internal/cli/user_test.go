package cli

import (
	"strings"
	"testing"
)

// TestUsersThroughTheServer: who has modify_users says from afar who may do what, at
// once; nobody else does, and nobody locks the last one out.
func TestUsersThroughTheServer(t *testing.T) {
	t.Parallel()
	f := newProcessFarm(t, shape{builders: 1, slots: 1})
	f.start()
	other := f.newUser("other@example.com", "own_jobs")
	for _, tt := range []struct {
		config string
		args   string
		code   int
		says   string
	}{
		{other, "user list", 3, "modify_users"},
		{other, "user add friend@example.com own_jobs", 3, "modify_users"},
		{f.Client, "user add friend@example.com own_jobs job_admin", 0, "User friend@example.com added: own_jobs kill_any_job"},
		{f.Client, "user add friend@example.com own_jobs", 5, "exists already"},
		{f.Client, "user add friend own_jobs", 2, "is not an e-mail address"},
		{f.Client, "user add a@example.com own_job", 2, "did you mean own_jobs?"},
		{f.Client, "user modify friend@example.com own_jobs", 2, "must begin with + or -"},
		{f.Client, "user modify friend@example.com -own_jobs +server_admin", 0, "modified: kill_any_job server_admin"},
		{f.Client, "user modify nobody@example.com +own_jobs", 4, "doesn't exist"},
		{f.Client, "user find friend", 0, "friend@example.com: kill_any_job server_admin\n"},
		{f.Client, "user list --json", 0, `"friend@example.com"`},
		{f.Client, "user delete " + f.User, 5, "the last user with modify_users"},
		{f.Client, "user modify " + f.User + " -modify_users", 5, "the last user with modify_users"},
		{f.Client, "user modify other@example.com +modify_users", 0, "own_jobs modify_users"},
		{other, "user delete " + f.User, 0, "deleted"},
		{f.Client, "user list", 3, "is not a user of this build system"},
		{other, "user delete friend@example.com", 0, "User friend@example.com deleted."},
		{other, "user delete friend@example.com", 4, "doesn't exist"},
		{other, "user lst", 2, "list"},
		{other, "user add", 2, "Invalid number of arguments"},
	} {
		out, errs, code := f.runAs(tt.config, strings.Fields(tt.args)...)
		if code != tt.code || !strings.Contains(out+errs, tt.says) {
			t.Errorf("%s: exit %d, want %d with %q\n%s%s", tt.args, code, tt.code, tt.says, out, errs)
		}
	}
}
