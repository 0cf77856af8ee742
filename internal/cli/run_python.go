package cli

import (
	"fmt"
	"strings"

	"nbremote/internal/session"
	"nbremote/internal/ui"
	"nbremote/kernel"
)

// needs makes sure that the script's Python has the packages, which are modules
// of the same names. What is missing is offered; where no environment was asked
// for and the directory has none, one is asked for first.
func (c *runCmd) needs(a *app, line *line, w where, wish *session.Script, packages ...string) error {
	python, err := c.python(a, line, w, wish, packages)
	if err != nil || len(python.Lacks) == 0 {
		return err
	}
	if !python.Whole && wish.Env == nil {
		if err = c.chooseEnv(a, line, w, wish, python); err != nil {
			return err
		}
		if python, err = c.python(a, line, w, wish, packages); err != nil || len(python.Lacks) == 0 {
			return err
		}
	}
	found, err := kernel.Environments(a.ctx, line, python.Place, w.Path)
	if err != nil {
		return fmt.Errorf("look for environments on %s: %w", w.Host, err)
	}
	missing := &problem{lacks(w, python), "missing", "the same with -y, which installs it; or --env NAME"}
	if len(found.Asked) == 0 {
		missing.try = "--env NAME; nbremote kernel list --host " + shellWord(w.Host)
		return missing
	}
	list := strings.Join(python.Lacks, " and ")
	offer, err := a.takeOffer(found.Asked[0], list, kernel.Offers(found.Asked[0], python.Lacks...), false, missing)
	if err == nil && offer.Command == "" {
		err = missing
	}
	if err != nil {
		return err
	}
	return a.install(line, found.Asked[0], list, offer)
}

func lacks(w where, python *session.Python) string {
	return fmt.Sprintf("run on %s: %s lacks %s", w.Host, python.Path, strings.Join(python.Lacks, " and "))
}

// python is the Python that would run it.
func (c *runCmd) python(a *app, line *line, w where, wish *session.Script, packages []string) (*session.Python, error) {
	python, err := session.FindPython(a.ctx, line, *wish, packages...)
	if err != nil {
		return nil, c.explain(err, w)
	}
	if python.Path == "" {
		return nil, &problem{fmt.Sprintf("run on %s: %s does not run there", w.Host, wish.Argv[0]), "missing", "--env NAME; nbremote kernel list --host " + shellWord(w.Host)}
	}
	return python, nil
}

// chooseEnv asks in which environment it is to run.
func (c *runCmd) chooseEnv(a *app, line *line, w where, wish *session.Script, python *session.Python) error {
	found, err := kernel.Environments(a.ctx, line, "", w.Path)
	if err != nil {
		return fmt.Errorf("look for environments on %s: %w", w.Host, err)
	}
	all := whole(found.Environments)
	choices, labels := make([]ui.Choice, len(all)), make([]string, len(all))
	for i, env := range all {
		choices[i] = ui.Choice{Name: env.Name, About: place(found, env) + "  " + pythonOf(env)}
		labels[i] = found.Label(env)
	}
	if len(all) == 0 {
		return &problem{lacks(w, python), "missing", "make an environment there: python3 -m venv ~/ds; then --env ds"}
	}
	i, err := a.ui.Choose(a.ctx, python.Path+" lacks "+strings.Join(python.Lacks, " and ")+". In which environment is it to run?", choices)
	if classOf(err) == "usage" { // nobody can be asked
		return &problem{lacks(w, python), "missing", "--env, one of: " + strings.Join(labels, ", ")}
	}
	if err != nil {
		return err
	}
	wish.Env = &session.Env{Kind: all[i].Kind, Name: all[i].Name, Prefix: all[i].Prefix}
	return nil
}
