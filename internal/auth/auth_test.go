package auth

import (
	"errors"
	"strings"
	"testing"

	"plague"
)

func TestCheck(t *testing.T) {
	user := func(cs ...plague.Capability) plague.User {
		return plague.User{Email: "ann@example.com", Capabilities: cs}
	}
	for _, tt := range []struct {
		name  string
		user  plague.User
		act   Act
		owner string
		lacks plague.Capability // empty: allowed
	}{
		{"build", user(plague.OwnJobs), Build, "", ""},
		{"build without own_jobs", user(plague.ServerAdmin, plague.KillAnyJob), Build, "", plague.OwnJobs},
		{"kill one's own", user(plague.OwnJobs), Kill, "ann@example.com", ""},
		{"kill one's own with kill_any_job alone", user(plague.KillAnyJob), Kill, "ann@example.com", ""},
		{"kill one's own without either", user(), Kill, "ann@example.com", plague.OwnJobs},
		{"kill another's", user(plague.OwnJobs), Kill, "bob@example.com", plague.KillAnyJob},
		{"kill another's with kill_any_job", user(plague.KillAnyJob), Kill, "bob@example.com", ""},
		{"requeue one's own", user(plague.OwnJobs), Requeue, "ann@example.com", ""},
		{"requeue another's", user(plague.OwnJobs), Requeue, "bob@example.com", plague.KillAnyJob},
		{"requeue another's with kill_any_job", user(plague.KillAnyJob), Requeue, "bob@example.com", ""},
		{"finish one's own", user(plague.OwnJobs), Finish, "ann@example.com", ""},
		{"finish one's own without either", user(plague.KillAnyJob), Finish, "ann@example.com", plague.OwnJobs},
		{"finish another's", user(plague.OwnJobs, plague.KillAnyJob), Finish, "bob@example.com", plague.ServerAdmin},
		{"finish another's with server_admin", user(plague.ServerAdmin), Finish, "bob@example.com", ""},
		{"hurry", user(plague.ServerAdmin), Hurry, "", ""},
		{"hurry without server_admin", user(plague.OwnJobs, plague.KillAnyJob), Hurry, "", plague.ServerAdmin},
		{"let one's own wait", user(plague.OwnJobs), Reorder, "ann@example.com", ""},
		{"let another's wait", user(plague.OwnJobs, plague.KillAnyJob), Reorder, "bob@example.com", plague.ServerAdmin},
		{"look at hooks without server_admin", user(plague.OwnJobs, plague.ModifyUsers), Told, "", plague.ServerAdmin},
		{"drain without server_admin", user(plague.OwnJobs, plague.KillAnyJob), Drain, "", plague.ServerAdmin},
		{"pause", user(plague.ServerAdmin), Pause, "", ""},
		{"pause without server_admin", user(plague.OwnJobs, plague.KillAnyJob, plague.ModifyUsers), Pause, "", plague.ServerAdmin},
		{"revoke certificates", user(plague.ServerAdmin), Revoke, "", ""},
		{"revoke certificates without server_admin", user(plague.OwnJobs, plague.KillAnyJob, plague.ModifyUsers), Revoke, "", plague.ServerAdmin},
		{"change users", user(plague.ModifyUsers), Users, "", ""},
		{"change users without modify_users", user(plague.ServerAdmin), Users, "", plague.ModifyUsers},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := Check(tt.user, tt.act, tt.owner)
			if tt.lacks == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if !errors.Is(err, plague.ErrDenied) || !strings.Contains(err.Error(), string(tt.lacks)) {
				t.Errorf("got %v, want a denial that names %s", err, tt.lacks)
			}
		})
	}
}
