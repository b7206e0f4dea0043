package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	celgo "github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	kubejson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	componentversion "k8s.io/component-base/version"
)

const celName = "cel"

// celRow is one line of input. The answer is the same line with the fields of celAnswer.
type celRow struct {
	Expr string `json:"expr"`
	// Vars are the variables of the row; a name it does not have is taken from --vars.
	Vars map[string]json.RawMessage `json:"vars"`
}

// celVariable is an entry of a policy's spec.variables.
type celVariable struct {
	Name       string `json:"name"`
	Expression string `json:"expression"`
}

// evaluateCel is the verb `cel`: what ValidatingAdmissionPolicy makes of expressions. Each line of standard input is
// compiled by the admission plugin's own compiler and evaluated by its own condition evaluator.
func evaluateCel(args []string) int {
	flags := flag.NewFlagSet(celName, flag.ContinueOnError)
	compatibility := flags.String("compatibility-version", componentversion.DefaultKubeBinaryVersion,
		"the release of Kubernetes whose functions new expressions may use")
	stored := flags.Bool("stored", false, "compile as expressions that are in etcd already, which may use every function there is")
	varsFile := flags.String("vars", "", "a JSON file of the variables of rows that do not name them")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	oracle, err := newCelOracle(*compatibility, *stored, *varsFile)
	if err == nil {
		err = oracle.answerAll(os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "controlplane cel:", err)
		return 1
	}
	return 0
}

type celOracle struct {
	environment *environment.EnvSet
	mode        environment.Type
	defaults    map[string]json.RawMessage
}

func newCelOracle(compatibility string, stored bool, varsFile string) (*celOracle, error) {
	parsed, err := version.ParseMajorMinor(compatibility)
	if err != nil {
		return nil, fmt.Errorf("--compatibility-version %q: %w", compatibility, err)
	}
	oracle := &celOracle{environment: environment.MustBaseEnvSet(parsed), mode: environment.NewExpressions}
	if stored {
		oracle.mode = environment.StoredExpressions
	}
	if varsFile != "" {
		text, err := os.ReadFile(varsFile)
		if err != nil {
			return nil, fmt.Errorf("--vars: %w", err)
		}
		if err := json.Unmarshal(text, &oracle.defaults); err != nil {
			return nil, fmt.Errorf("--vars %s: %w", varsFile, err)
		}
	}
	return oracle, nil
}

// answerAll reads to the end of input. Lines that are no rows end it: a corpus with a broken line is not answered by half.
func (o *celOracle) answerAll(input io.Reader, output io.Writer) error {
	lines := bufio.NewReader(input)
	out := bufio.NewWriter(output)
	defer out.Flush()
	for number := 1; ; number++ {
		line, readErr := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			var row celRow
			var answer map[string]any
			if err := errors.Join(json.Unmarshal(line, &row), json.Unmarshal(line, &answer)); err != nil {
				return fmt.Errorf("line %d: %w", number, err)
			}
			for _, key := range []string{"value", "type", "cost", "error", "compile", "panic"} {
				delete(answer, key)
			}
			if err := o.answer(row, answer); err != nil {
				return fmt.Errorf("line %d: %s: %w", number, row.Expr, err)
			}
			encoder := json.NewEncoder(out)
			encoder.SetEscapeHTML(false)
			if err := encoder.Encode(answer); err != nil {
				return fmt.Errorf("line %d: %w", number, err)
			}
		}
		if readErr == io.EOF {
			return nil
		}
		if readErr != nil {
			return readErr
		}
	}
}

// anyExpression is an expression that may have a value of any type.
type anyExpression struct{ name, text string }

func (e anyExpression) GetExpression() string      { return e.text }
func (e anyExpression) GetName() string            { return e.name }
func (e anyExpression) ReturnTypes() []*celgo.Type { return []*celgo.Type{celgo.AnyType} }

// answer adds to a row what the API server says to it. An error is one of the row's variables, never of its expression.
func (o *celOracle) answer(row celRow, answer map[string]any) error {
	// The compiler panics on some expressions: `[?object.metadata.name]`.
	defer func() {
		if reason := recover(); reason != nil {
			answer["panic"] = fmt.Sprint(reason)
		}
	}()
	vars := newCelVars(o.defaults, row.Vars)
	versioned := &admission.VersionedAttributes{
		VersionedObject:    admission.NewLazyObject(vars.object("object")),
		VersionedOldObject: admission.NewLazyObject(vars.object("oldObject")),
	}
	_, hasParams := vars.texts["params"]
	bindings := cel.OptionalVariableBindings{VersionedParams: vars.object("params")}
	request := decode[admissionv1.AdmissionRequest](vars, "request")
	namespace := decode[corev1.Namespace](vars, "namespaceObject")
	variables := decode[[]celVariable](vars, "variables")
	if vars.err != nil {
		return vars.err
	}

	compiler, err := cel.NewCompositedCompiler(o.environment)
	if err != nil {
		return err
	}
	declarations := cel.OptionalVariableDeclarations{HasParams: hasParams}
	if variables != nil {
		for _, variable := range *variables {
			if result := compiler.CompileAndStoreVariable(anyExpression{variable.Name, variable.Expression}, declarations, o.mode); result.Error != nil {
				return fmt.Errorf("variable %s: %v", variable.Name, result.Error)
			}
		}
	}
	compiled := compiler.Compiler.CompileCELExpression(anyExpression{text: row.Expr}, declarations, o.mode)
	if compiled.Error != nil {
		answer["compile"] = firstIssue(compiled.Error)
		return nil
	}
	// The budget is far beyond the limit of one expression, so that what is left of it tells the cost.
	const budget = math.MaxInt64 / 2
	composition := compiler.CreateContext(context.Background())
	results, left, err := cel.NewCondition([]cel.CompilationResult{compiled}).ForInput(composition, versioned, request, bindings, namespace, budget)
	if err != nil {
		return err
	}
	answer["cost"] = budget - left
	if failure := results[0].Error; failure != nil {
		var detail *apiservercel.Error
		text := failure.Error()
		if errors.As(failure, &detail) {
			text = detail.Detail
		}
		answer["error"] = strings.TrimPrefix(text, fmt.Sprintf("expression '%s' resulted in error: ", row.Expr))
		return nil
	}
	value := results[0].EvalResult
	answer["type"] = value.Type().TypeName()
	answer["value"] = showCel(value)
	if budget-left > celconfig.PerCallLimit {
		answer["warning"] = "the variables of this row cost more than one expression may"
	}
	return nil
}

// firstIssue is the message of the first thing that is wrong, without place, picture and the step that found it.
func firstIssue(failure *apiservercel.Error) string {
	var compilation *apiservercel.CompilationError
	if errors.As(failure.Cause, &compilation) && compilation.Issues != nil {
		if issues := compilation.Issues.Errors(); len(issues) > 0 {
			return issues[0].Message
		}
	}
	return strings.TrimPrefix(failure.Detail, "program instantiation failed: ")
}

// celVars are the variables of one row; the first one that cannot be read is kept as the error.
type celVars struct {
	texts map[string]json.RawMessage
	err   error
}

func newCelVars(defaults, own map[string]json.RawMessage) *celVars {
	vars := &celVars{texts: map[string]json.RawMessage{}}
	for _, layer := range []map[string]json.RawMessage{defaults, own} {
		for name, text := range layer {
			vars.texts[name] = text
		}
	}
	known := []string{"object", "oldObject", "params", "request", "namespaceObject", "variables"}
	for name := range vars.texts {
		if !slices.Contains(known, name) {
			vars.err = fmt.Errorf("vars: %q is not one of %s", name, strings.Join(known, ", "))
		}
	}
	return vars
}

// object is a variable that the API server knows no schema of; an absent one is null.
func (v *celVars) object(name string) runtime.Object {
	text, found := v.texts[name]
	if !found || string(bytes.TrimSpace(text)) == "null" {
		return nil
	}
	object := &unstructured.Unstructured{}
	// Kubernetes' own JSON: a whole number is an integer.
	if err := kubejson.Unmarshal(text, &object.Object); err != nil {
		v.err = errors.Join(v.err, fmt.Errorf("vars.%s: %w", name, err))
	}
	return object
}

// decode is a variable of a type of the API server's own; an absent one is nil.
func decode[T any](v *celVars, name string) *T {
	text, found := v.texts[name]
	if !found || string(bytes.TrimSpace(text)) == "null" {
		return nil
	}
	value := new(T)
	if err := json.Unmarshal(text, value); err != nil {
		v.err = errors.Join(v.err, fmt.Errorf("vars.%s: %w", name, err))
	}
	return value
}

// showCel writes a value so that no two different values look the same: 1, 1u, 1.0, "text", b"00ff", [..], {key: value} in
// order of the keys' text, timestamp(..), duration(..), type(..), optional.of(..), and other types by name.
func showCel(value ref.Val) string {
	switch value := value.(type) {
	case types.Null:
		return "null"
	case types.Bool, types.Int:
		return fmt.Sprint(value)
	case types.Uint:
		return fmt.Sprintf("%du", uint64(value))
	case types.Double:
		return showDouble(float64(value))
	case types.String:
		return showText(string(value))
	case types.Bytes:
		return fmt.Sprintf("b\"%x\"", []byte(value))
	case types.Timestamp, types.Duration:
		return fmt.Sprintf("%s(%s)", strings.ToLower(strings.TrimPrefix(value.Type().TypeName(), "google.protobuf.")), value.ConvertToType(types.StringType))
	case *types.Optional:
		if !value.HasValue() {
			return "optional.none()"
		}
		return "optional.of(" + showCel(value.GetValue()) + ")"
	case traits.Mapper:
		var entries []string
		for keys := value.Iterator(); keys.HasNext() == types.True; {
			key := keys.Next()
			entries = append(entries, showCel(key)+": "+showCel(value.Get(key)))
		}
		slices.Sort(entries)
		return "{" + strings.Join(entries, ", ") + "}"
	case traits.Lister:
		var items []string
		for all := value.Iterator(); all.HasNext() == types.True; {
			items = append(items, showCel(all.Next()))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case ref.Type:
		return "type(" + value.TypeName() + ")"
	}
	if format, ok := value.(apiservercel.Format); ok {
		return value.Type().TypeName() + "(" + format.Name + ")"
	}
	if text, ok := value.(fmt.Stringer); ok {
		return value.Type().TypeName() + "(" + text.String() + ")"
	}
	return fmt.Sprintf("%s(%v)", value.Type().TypeName(), value.Value())
}

func showDouble(value float64) string {
	text := strconv.FormatFloat(value, 'g', -1, 64)
	if strings.Trim(text, "-0123456789") == "" {
		text += ".0"
	}
	return text
}

// showText quotes a string; what is no printable ASCII but an ordinary character of another script stays as it is.
func showText(text string) string {
	var out strings.Builder
	out.WriteByte('"')
	for _, character := range text {
		switch {
		case character == '"' || character == '\\':
			out.WriteByte('\\')
			out.WriteRune(character)
		case character < 0x20 || (character >= 0x7f && character < 0xa0) || character == 0x2028 || character == 0x2029:
			fmt.Fprintf(&out, "\\u{%x}", character)
		default:
			out.WriteRune(character)
		}
	}
	out.WriteByte('"')
	return out.String()
}
