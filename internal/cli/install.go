package cli

import (
	"strconv"

	"nbremote/kernel"
)

// takeOffer is the offer that is taken: the first with yes or -y, else the
// person's answer. missing is what it is when nobody can be asked, or says no.
func (a *app) takeOffer(env kernel.Environment, packages string, offers []kernel.Offer, yes bool, missing error) (kernel.Offer, error) {
	if yes || a.Yes {
		return offers[0], nil
	}
	question, letters := packages+" is missing in "+env.Name+":", "Y"
	for i, o := range offers {
		letter := "y"
		if i > 0 {
			letter = strconv.Itoa(i + 1)
			letters += "/" + letter
		}
		question += "\n  " + letter + "  " + o.Text
		if o.Note != "" {
			question += " (" + o.Note + ")"
		}
	}
	answer, err := a.choose(question+"\n  n  leave it\nInstall it?", letters+"/n")
	switch {
	case classOf(err) == "usage": // nobody can be asked
		return kernel.Offer{}, missing
	case err != nil:
		return kernel.Offer{}, err
	case answer == "y":
		return offers[0], nil
	case answer == "n":
		return kernel.Offer{}, missing
	}
	n, err := strconv.Atoi(answer)
	return offers[n-1], err
}

// install runs an offer that was taken.
func (a *app) install(r shell, env kernel.Environment, packages string, offer kernel.Offer) error {
	if offer.Note != "" {
		a.ui.Note(offer.Note)
	}
	step := a.ui.Start("installed", offer.Text)
	if err := kernel.Install(a.ctx, r, env, offer, func(line string) { step.Update(cut(line, 70)) }); err != nil {
		step.Fail("")
		return err
	}
	step.Done(packages + ", by " + offer.Text)
	return nil
}
