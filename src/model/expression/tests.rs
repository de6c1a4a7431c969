use super::*;

fn value(json: &str) -> Value {
    crate::model::json::parse(json.as_bytes()).expect("JSON")
}

/// Runs an expression, and checks that both ways of running it agree. Outputs are separated by spaces, an error is itself.
fn run(source: &str, input: &str) -> String {
    let expression = match Expression::parse(source) {
        Ok(expression) => expression,
        Err(error) => return format!("parse error: {error}"),
    };
    let input = value(input);
    let borrowed = expression.outputs(&input).map(|outputs| outputs.into_iter().map(Cow::into_owned).collect());
    let moved: Result<Vec<Value>, _> = expression.into_outputs(input);
    assert_eq!(borrowed, moved, "{source}");
    match moved {
        Ok(outputs) => outputs.iter().map(Value::to_string).collect::<Vec<_>>().join(" "),
        Err(error) => format!("error: {error}"),
    }
}

fn check(source: &str, input: &str, expected: &str) {
    assert_eq!(run(source, input), expected, "{source} on {input}");
}

#[test]
fn plain_paths_do_as_in_jq() {
    let input = r#"{"a":{"b":[{"c":1},{"c":2},{}]},"a b":[10,20],"s":"text","n":null}"#;
    check(".", "1.0", "1.0");
    check(" .a.b[0] ", input, r#"{"c":1}"#);
    check(".a.b[].c", input, "1 2 null");
    check(".a.b[-1]", input, "{}");
    check(".a.b[7]", input, "null");
    check(r#".["a b"][1]"#, input, "20");
    check(r#"."a b"[]"#, input, "10 20");
    check(r#".["a b"].[0]"#, input, "10");
    check(".n.x.y[3]", input, "null");
    check(".missing", input, "null");
    check(".s.x?", input, "");
    check(".[].b?", input, r#"[{"c":1},{"c":2},{}] null"#);
    check(".s[]?", input, "");
    check(".[]", r#"{"z":1,"a":2}"#, "1 2");
}

#[test]
fn a_path_to_a_listing_is_recognised() {
    let check = |source: &str, expected: Option<&[&str]>| {
        let expression = Expression::parse(source).expect("an expression");
        assert_eq!(expression.listing().as_deref(), expected, "{source}");
    };
    check(".[]", Some(&[]));
    check(".items[]", Some(&["items"]));
    check(r#" .data?.["the items"][]? "#, Some(&["data", "the items"]));
    for other in [".", ".items", ".items[].id", ".[][]", ".[0][]", ".items | .[]", ".items[], .more[]"] {
        check(other, None);
    }
}

#[test]
fn jaq_and_plain_paths_agree() {
    let inputs =
        ["null", "1", r#""s""#, "[]", "[1,[2],{}]", "{}", r#"{"a":[1,{"b":2}],"b":null}"#, r#"[{"a":{"b":3}}]"#];
    for path in
        [".a", ".a.b", ".[]", ".[0]", ".[-1]", ".a[]", ".[].a", ".a?", ".[]?.a?", ".[0].a", r#".["a"]"#, ".a[]?.b"]
    {
        for input in inputs {
            // jaq finds null under a number in an object; jq refuses it, and so do we.
            if matches!(path, ".[0]" | ".[-1]" | ".[0].a") && input.starts_with('{') {
                continue;
            }
            let (native, jaq) = (run(path, input), run(&format!("{path} | ."), input));
            assert_eq!(native.starts_with("error"), jaq.starts_with("error"), "{path} on {input}: {native} / {jaq}");
            if !native.starts_with("error") {
                assert_eq!(native, jaq, "{path} on {input}");
            }
        }
    }
}

#[test]
fn a_plain_path_that_fails_names_the_step_and_what_was_there() {
    check(
        ".orders[]",
        r#"{"error":1,"message":2}"#,
        "error: `.orders` is null, so `[]` finds nothing to iterate over; the value has the keys: error, message",
    );
    check(
        ".data.orders[].id",
        r#"{"data":{"items":[]}}"#,
        "error: `.data.orders` is null, so `[]` finds nothing to iterate over; `.data` has the keys: items",
    );
    check(".a.b", r#"{"a":[1]}"#, "error: `.a` is an array, so `.b` finds no member in it");
    check(".[]", "null", "error: the value is null, so `.[]` finds nothing to iterate over");
    check(".a[0]", r#"{"a":{}}"#, "error: `.a` is an object, so `[0]` finds no element in it");
}

#[test]
fn numbers_keep_their_text() {
    let numbers = [
        "9007199254740993",
        "1.0",
        "1e400",
        "0.1000",
        "-0",
        "1E5",
        "1E400",
        "1e+5",
        "-0.0",
        "123456789012345678901234567890",
    ];
    for number in numbers {
        assert_eq!(value(number).to_string(), number);
        check(".x", &format!(r#"{{"x":{number}}}"#), number);
        check("{id, x}", &format!(r#"{{"x":{number},"id":1}}"#), &format!(r#"{{"id":1,"x":{number}}}"#));
        check(
            ".items[] | select(.y > 1)",
            &format!(r#"{{"items":[{{"y":2,"x":{number}}}]}}"#),
            &format!(r#"{{"y":2,"x":{number}}}"#),
        );
    }
}

#[test]
fn the_world_is_out_of_reach() {
    for name in [
        "env",
        "$ENV",
        "now",
        "localtime",
        "input",
        "inputs",
        "halt",
        "halt_error",
        "debug",
        "stderr",
        "input_filename",
    ] {
        check(
            &format!(". | {name}"),
            "null",
            &format!("parse error: `{name}` is not available: an expression reads nothing but its input"),
        );
    }
}

#[test]
fn deleting_keeps_the_order_of_the_rest() {
    let delete = |source: &str, input: &str| {
        let mut input = value(input);
        let expression = Expression::parse(source).expect("an expression");
        expression.delete_from(&mut input).map_or_else(|error| error.to_string(), |()| input.to_string())
    };
    assert_eq!(delete(".a", r#"{"a":1,"b":2,"c":3}"#), r#"{"b":2,"c":3}"#);
    assert_eq!(delete(".[].a", r#"[{"a":1,"b":2,"c":1.0},{"c":3}]"#), r#"[{"b":2,"c":1.0},{"c":3}]"#);
    assert_eq!(delete(".a[]", r#"{"a":[1,2],"b":1}"#), r#"{"a":[],"b":1}"#);
    assert_eq!(delete(".a.x.y", r#"{"a":{}}"#), r#"{"a":{}}"#);
    assert_eq!(delete(".a, .c", r#"{"a":1,"b":1E5,"c":3,"d":4}"#), r#"{"b":1E5,"d":4}"#);
    assert_eq!(delete(".[] | select(. > 1)", "[1,2,3,0]"), "[1,0]");
    assert_eq!(delete(".[0,1]", "[1,2,3]"), "[3]");
    check("del(.a)", r#"{"a":1,"b":2,"c":3}"#, r#"{"b":2,"c":3}"#);
    check("del(.[1:3])", "[1,2,3,4]", "[1,4]");
}

#[test]
fn deep_sources_do_not_overflow() {
    let sources = [
        "(",
        "[",
        "{a:",
        "-",
        "try ",
        "if ",
        "reduce ",
        "label $x | ",
        "def f: ",
        ". as $x | ",
        "\"\\(",
        "1+",
        ".|",
        ".,",
        "..a",
        "?",
        ".a",
        ".[0]",
        "[[",
        "(-",
        "f(",
        "def f: 1; ",
    ];
    for source in sources {
        let deep = source.repeat(LONGEST_EXPRESSION / source.len());
        let _ = Expression::parse(&deep).map(|expression| expression.outputs(&Value::Null).map(|_| ()));
        let closed = format!("{}1", &deep[..deep.len() / 4]);
        let _ = Expression::parse(&closed).map(|expression| expression.outputs(&Value::Null).map(|_| ()));
    }
    let nested = format!("{}1{}", "[".repeat(4000), "]".repeat(4000));
    let _ = Expression::parse(&nested).map(|expression| expression.outputs(&Value::Null).map(|_| ()));
}

#[test]
fn runs_end_whatever_the_expression() {
    let check = |source: &str, expected: &str| {
        let result = run(source, r#"{"a":[1,2]}"#);
        assert!(result.contains(expected), "{source}: {}", &result[..result.len().min(200)]);
    };
    check("range(1e12)", "more than 1000000 outputs");
    check("repeat(.) |= 1", "stopped, being nested too deeply");
    check("reduce range(1000000) as $i (.; [.])", "nested more than 512 deep");
    check("until(false; [.])", "nested more than 512 deep");
    check("last(recurse([.]))", "nested more than 512 deep");
    check("[limit(5000; while(true; [.]))] | length", "nested more than 512 deep");
    check(r#""x" * 10000000000"#, "longer than");
    check(r#"reduce range(60) as $i ("x"; . + .)"#, "longer than");
    check(r#"reduce range(60) as $i ("x"; "\\(.)\\(.)")"#.replace("\\\\", "\\").as_str(), "longer than");
    check(r#"("[" * 100000) | fromjson"#, "recursion limit");
    check(".a[0] += 1 | .a[1] *= 2.5 | .a", "[2,5]");
    check(r#"{("k" + "l"): (1 + 2), "m\(1)": "\(.a)!"}"#, r#"{"kl":3,"m1":"[1,2]!"}"#);
    check("reduce .a[] as $x (0; . + $x)", "3");
    check("[.a[] | until(. > 5; . * 2)]", "[8,8]");
    check("[limit(3; repeat(1))]", "[1,1,1]");
}
