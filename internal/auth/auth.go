// Package auth answers one question: may this user do this? It is asked once
// for each act, before the store is.
package auth

import (
	"fmt"

	"plague"
)

// Act is something a user asks for.
type Act string

const (
	Build Act = "build"
	Kill  Act = "kill"
	Pause Act = "pause"
	Users Act = "change users"
)

// Check refuses an act that the user's capabilities do not allow. owner is the
// e-mail of whoever owns the job concerned; empty where there is none.
func Check(u plague.User, act Act, owner string) error {
	need := plague.ServerAdmin
	switch act {
	case Build:
		need = plague.OwnJobs
	case Kill:
		if owner == u.Email && u.Can(plague.OwnJobs) {
			return nil
		}
		need = plague.KillAnyJob
		if owner == u.Email {
			need = plague.OwnJobs
		}
	case Users:
		need = plague.ModifyUsers
	}
	if u.Can(need) || act == Kill && u.Can(plague.KillAnyJob) {
		return nil
	}
	return plague.Refuse(plague.ErrDenied,
		fmt.Sprintf("Insufficient privileges: %s may not %s, it needs the capability %s", u.Email, act, need),
		"somebody with modify_users can give it")
}
