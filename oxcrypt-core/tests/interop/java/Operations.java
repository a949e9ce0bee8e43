import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.CopyOption;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;

/**
 * Changes to an open vault, one after the other: {"do": "mkdir" | "write" | "truncate" | "rename" | "remove" |
 * "symlink", "path": "/a"}, with "offset", "seed" and "len" (write), "len" (truncate), "to" and "replace" (rename),
 * "target" (symlink).
 */
final class Operations {
    private Operations() {
    }

    /** One outcome for each: "done", why it was refused, or an exception that is not expected of a file system. */
    static JsonElement apply(Path root, JsonArray operations) {
        var outcomes = new JsonArray();
        for (var operation : operations) {
            outcomes.add(outcome(root, operation.getAsJsonObject()));
        }
        return outcomes;
    }

    private static String outcome(Path root, JsonObject operation) {
        try {
            apply(root, operation);
            return "done";
        } catch (NoSuchFileException error) {
            return "absent";
        } catch (FileAlreadyExistsException error) {
            return "exists";
        } catch (DirectoryNotEmptyException error) {
            return "not empty";
        } catch (NotDirectoryException error) {
            return "not a directory";
        } catch (IOException | RuntimeException error) {
            return error.toString();
        }
    }

    private static void apply(Path root, JsonObject operation) throws IOException {
        var path = path(root, operation, "path");
        switch (operation.get("do").getAsString()) {
            case "mkdir" -> Files.createDirectory(path);
            case "write" -> write(path, operation);
            case "truncate" -> {
                try (var channel = FileChannel.open(path, StandardOpenOption.WRITE)) {
                    channel.truncate(operation.get("len").getAsLong());
                }
            }
            case "rename" -> {
                var replace = operation.get("replace").getAsBoolean();
                var options = replace ? new CopyOption[] {StandardCopyOption.REPLACE_EXISTING} : new CopyOption[0];
                Files.move(path, path(root, operation, "to"), options);
            }
            case "remove" -> Files.delete(path);
            case "symlink" -> {
                var target = root.getFileSystem().getPath(operation.get("target").getAsString());
                Files.createSymbolicLink(path, target);
            }
            default -> throw new IllegalArgumentException("no such operation: " + operation);
        }
    }

    /** Creates the file where there is none. */
    private static void write(Path path, JsonObject operation) throws IOException {
        var bytes = Content.of(operation.get("seed").getAsLong(), operation.get("len").getAsInt());
        var position = operation.get("offset").getAsLong();
        try (var channel = FileChannel.open(path, StandardOpenOption.WRITE, StandardOpenOption.CREATE)) {
            while (bytes.hasRemaining()) {
                position += channel.write(bytes, position);
            }
        }
    }

    private static Path path(Path root, JsonObject operation, String field) {
        return root.getFileSystem().getPath(operation.get(field).getAsString());
    }
}
