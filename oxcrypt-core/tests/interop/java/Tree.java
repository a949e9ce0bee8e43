import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/** All that is in a vault, in the words of the manifests in tests/fixtures. */
final class Tree {
    private final JsonArray entries = new JsonArray();

    private Tree() {
    }

    /** One object for each entry: "path", and "type" with what belongs to it, or "error". */
    static JsonElement list(Path root) {
        var tree = new Tree();
        tree.add(root);
        return tree.entries;
    }

    private void add(Path path) {
        var entry = new JsonObject();
        entry.addProperty("path", path.toString());
        entries.add(entry);
        try {
            var attributes = Files.readAttributes(path, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
            if (attributes.isDirectory()) {
                entry.addProperty("type", "dir");
                addBelow(path);
            } else if (attributes.isSymbolicLink()) {
                entry.addProperty("type", "symlink");
                entry.addProperty("target", Files.readSymbolicLink(path).toString());
            } else {
                entry.addProperty("type", "file");
                entry.addProperty("size", attributes.size());
                addContent(entry, path, attributes.size());
            }
        } catch (IOException | RuntimeException error) {
            entry.addProperty("error", error.toString());
        }
    }

    private void addBelow(Path directory) throws IOException {
        try (var children = Files.newDirectoryStream(directory)) {
            children.forEach(this::add);
        }
    }

    /** Some damage makes official code show one size and read another one. */
    private static void addContent(JsonObject entry, Path path, long size) throws IOException {
        var digest = sha256();
        long read = 0;
        try (var channel = Files.newByteChannel(path)) {
            var buffer = ByteBuffer.allocate(100_000);
            while (channel.read(buffer) > 0) {
                read += buffer.flip().remaining();
                digest.update(buffer);
                buffer.clear();
            }
        }
        if (read != size) {
            throw new IOException("shows " + size + " bytes and reads " + read);
        }
        entry.addProperty("sha256", HexFormat.of().formatHex(digest.digest()));
    }

    private static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException error) {
            throw new AssertionError(error);
        }
    }
}
