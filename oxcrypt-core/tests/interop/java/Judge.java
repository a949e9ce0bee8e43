import com.google.gson.Gson;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.gson.JsonPrimitive;

import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.Properties;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

import static java.nio.charset.StandardCharsets.UTF_8;

/**
 * Official code, asked over standard input: one JSON object a line, one JSON object a line back. It begins with what
 * judges: {"cryptofs": "2.9.0", "java": "25.0.3"}.
 *
 * <p>Asks: {"ask": "create" | "passphrase" | "list" | "health" | "repair" | "apply", "vault": "/folder", "limit":
 * milliseconds}, with "key" (the raw masterkey in hex) or "passphrase", and what {@link Access} and {@link Operations}
 * want beside. Answers: {"answer": ...}, {"refused": "an exception"} where the whole vault cannot be used, {"timeout":
 * "where it hangs"}. Official calls may hang for ever: after a timeout this process ends, and the next question needs
 * another one.
 */
final class Judge {
    private final PrintStream out;

    private Judge(PrintStream out) {
        this.out = out;
    }

    public static void main(String[] arguments) throws IOException {
        var out = new PrintStream(new FileOutputStream(FileDescriptor.out), false, UTF_8);
        // What the libraries print must not come between the answers.
        System.setOut(System.err);
        var judge = new Judge(out);
        judge.say(versions());
        var in = new BufferedReader(new InputStreamReader(System.in, UTF_8));
        for (var line = in.readLine(); line != null; line = in.readLine()) {
            judge.answer(JsonParser.parseString(line).getAsJsonObject());
        }
        // Threads of the library may be left.
        Runtime.getRuntime().halt(0);
    }

    private void answer(JsonObject request) {
        var task = new FutureTask<>(question(request));
        var thread = new Thread(task, "question");
        thread.setDaemon(true);
        thread.start();
        try {
            say(object("answer", task.get(request.get("limit").getAsLong(), TimeUnit.MILLISECONDS)));
        } catch (ExecutionException error) {
            say(object("refused", new JsonPrimitive(trace(error.getCause()))));
        } catch (TimeoutException | InterruptedException error) {
            var where = new StringBuilder();
            for (var frame : thread.getStackTrace()) {
                where.append(frame).append('\n');
            }
            say(object("timeout", new JsonPrimitive(where.toString())));
            Runtime.getRuntime().halt(1);
        }
    }

    private static Callable<JsonElement> question(JsonObject request) {
        var access = new Access(request);
        return switch (request.get("ask").getAsString()) {
            case "create" -> () -> access.create(request);
            case "passphrase" -> () -> access.changePassphrase(request);
            case "list" -> () -> access.with(Tree::list);
            case "health" -> () -> Health.findings(access);
            case "repair" -> () -> Health.repair(access);
            case "apply" -> () -> access.with(root -> Operations.apply(root, request.getAsJsonArray("operations")));
            default -> throw new IllegalArgumentException("no such question: " + request);
        };
    }

    private void say(JsonObject answer) {
        out.println(new Gson().toJson(answer));
        out.flush();
    }

    private static JsonObject versions() throws IOException {
        var versions = new JsonObject();
        versions.addProperty("java", System.getProperty("java.version"));
        try (InputStream in = Judge.class.getResourceAsStream(
                "/META-INF/maven/org.cryptomator/cryptofs/pom.properties")) {
            var properties = new Properties();
            properties.load(in);
            versions.addProperty("cryptofs", properties.getProperty("version"));
        }
        return versions;
    }

    private static JsonObject object(String key, JsonElement value) {
        var object = new JsonObject();
        object.add(key, value);
        return object;
    }

    private static String trace(Throwable error) {
        var trace = new StringWriter();
        error.printStackTrace(new PrintWriter(trace));
        return trace.toString();
    }
}
