// Package auth answers one question: may this user do this? It is asked once
// for each act, before the store is.
package auth

import (
	"fmt"
	"slices"

	"plague"
)

// Act is something a user asks for.
type Act string

const (
	Build    Act = "build"
	Kill     Act = "kill"
	Requeue  Act = "requeue"
	Finish   Act = "finish"
	Pause    Act = "pause"
	Users    Act = "change users"
	Retire   Act = "retire"
	Builders Act = "update the builders"
	Told     Act = "look at hooks and mails"
	Drain    Act = "drain or resume a builder"
	Revoke   Act = "list or revoke certificates"
	Hurry    Act = "ask for a priority above 0"
	Reorder  Act = "change the priority"
)

// Check refuses an act that the user's capabilities do not allow. owner is the
// e-mail of whoever owns the job concerned; empty where there is none.
func Check(u plague.User, act Act, owner string) error {
	one := needs(act, owner != "" && owner == u.Email)
	if slices.ContainsFunc(one, u.Can) {
		return nil
	}
	return plague.Refuse(plague.ErrDenied,
		fmt.Sprintf("Insufficient privileges: %s may not %s, it needs the capability %s", u.Email, act, one[0]),
		"somebody with modify_users can give it")
}

// needs lists the capabilities of which one is enough, the least first.
func needs(act Act, own bool) []plague.Capability {
	switch {
	case act == Build:
		return []plague.Capability{plague.OwnJobs}
	case act == Reorder && own:
		return []plague.Capability{plague.OwnJobs, plague.ServerAdmin}
	case (act == Kill || act == Requeue) && own:
		return []plague.Capability{plague.OwnJobs, plague.KillAnyJob}
	case act == Kill || act == Requeue:
		return []plague.Capability{plague.KillAnyJob}
	case act == Finish && own:
		return []plague.Capability{plague.OwnJobs, plague.ServerAdmin}
	case act == Users:
		return []plague.Capability{plague.ModifyUsers}
	}
	return []plague.Capability{plague.ServerAdmin}
}
