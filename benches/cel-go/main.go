// Command cel-go times the expressions of benches/cel.rs in the API server's own environment: compiled by the admission plugin's
// compiler, evaluated with its cost tracking, on the same pod.
//
// It reads what `cargo bench --bench cel -- --export` prints: one JSON document of expressions and variables, and prints a line of
// JSON an expression, `{"name": ..., "ns": ...}`: the median of many samples of the evaluation alone.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	celgo "github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	kubejson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	componentversion "k8s.io/component-base/version"
)

type input struct {
	Expressions []struct{ Name, Expression string }
	Variables   map[string]json.RawMessage
}

type expression string

func (e expression) GetExpression() string      { return string(e) }
func (e expression) ReturnTypes() []*celgo.Type { return []*celgo.Type{celgo.AnyType} }

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "cel-go:", err)
		os.Exit(1)
	}
}

func run() error {
	var in input
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		return err
	}
	// The variables as the plugin gives them to a program: lazily converted maps.
	variables := map[string]any{}
	for name, text := range in.Variables {
		object := map[string]any{}
		if err := kubejson.Unmarshal(text, &object); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		variables[name] = types.DefaultTypeAdapter.NativeToValue(object)
	}
	compiler := cel.NewCompiler(environment.MustBaseEnvSet(version.MustParse(componentversion.DefaultKubeBinaryVersion)))
	for _, entry := range in.Expressions {
		compiled := compiler.CompileCELExpression(expression(entry.Expression), cel.OptionalVariableDeclarations{}, environment.NewExpressions)
		if compiled.Error != nil {
			return fmt.Errorf("%s: %v", entry.Name, compiled.Error)
		}
		ns, err := measure(compiled.Program, variables)
		if err != nil {
			return fmt.Errorf("%s: %w", entry.Name, err)
		}
		fmt.Printf("{\"name\":%q,\"ns\":%.0f}\n", entry.Name, ns)
	}
	return nil
}

// measure is the median over samples of as many evaluations as take a fifth of a millisecond.
func measure(program celgo.Program, variables map[string]any) (float64, error) {
	evaluate := func() error {
		_, details, err := program.ContextEval(context.Background(), variables)
		if err == nil && details.ActualCost() == nil {
			err = fmt.Errorf("the cost is not tracked")
		}
		return err
	}
	for range 200 {
		if err := evaluate(); err != nil {
			return 0, err
		}
	}
	var samples []float64
	for range 301 {
		runs := 0
		started := time.Now()
		for time.Since(started) < 200*time.Microsecond {
			if err := evaluate(); err != nil {
				return 0, err
			}
			runs++
		}
		samples = append(samples, float64(time.Since(started).Nanoseconds())/float64(runs))
	}
	slices.Sort(samples)
	return samples[len(samples)/2], nil
}
