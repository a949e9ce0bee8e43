import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import org.cryptomator.cryptofs.CryptoFileSystemProperties;
import org.cryptomator.cryptofs.CryptoFileSystemProvider;
import org.cryptomator.cryptolib.api.CryptorProvider;
import org.cryptomator.cryptolib.api.Masterkey;
import org.cryptomator.cryptolib.common.MasterkeyFileAccess;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.HexFormat;
import java.util.Set;

/** A vault's folder, with what unlocks it. */
final class Access {
    private static final URI KEY_ID = URI.create("masterkeyfile:masterkey.cryptomator");

    final Path vault;
    /** Null where the passphrase is to find it. */
    private final byte[] rawKey;
    /** Null where the key is given. */
    private final String passphrase;

    Access(JsonObject request) {
        vault = Path.of(request.get("vault").getAsString());
        rawKey = request.has("key") ? HexFormat.of().parseHex(request.get("key").getAsString()) : null;
        passphrase = request.has("passphrase") ? request.get("passphrase").getAsString() : null;
    }

    /** A new one each time, for whoever gets it destroys it. */
    Masterkey key() {
        if (rawKey != null) {
            return new Masterkey(rawKey.clone());
        }
        return keyFiles().load(vault.resolve("masterkey.cryptomator"), passphrase);
    }

    /**
     * Makes an empty vault in a new folder, with "combo" and "threshold". With a passphrase it gets a masterkey file;
     * without a key a random one.
     */
    JsonElement create(JsonObject request) throws IOException {
        Files.createDirectory(vault);
        var key = rawKey != null ? key() : Masterkey.generate(new SecureRandom());
        try (key) {
            if (passphrase != null) {
                keyFiles().persist(key, vault.resolve("masterkey.cryptomator"), passphrase);
            }
            var properties = CryptoFileSystemProperties.cryptoFileSystemProperties()
                    .withCipherCombo(CryptorProvider.Scheme.valueOf(request.get("combo").getAsString()))
                    .withShorteningThreshold(request.get("threshold").getAsInt())
                    .withKeyLoader(id -> key.copy())
                    .build();
            CryptoFileSystemProvider.initialize(vault, properties, KEY_ID);
        }
        return new JsonObject();
    }

    /** Makes "new" the passphrase. */
    JsonElement changePassphrase(JsonObject request) throws IOException {
        var file = vault.resolve("masterkey.cryptomator");
        var changed = keyFiles().changePassphrase(
                Files.readAllBytes(file), passphrase, request.get("new").getAsString());
        Files.write(file, changed);
        return new JsonObject();
    }

    /** What is done with an open vault, from its root. */
    interface Use {
        JsonElement of(Path root) throws IOException;
    }

    /** Opens the vault, and closes it afterwards: only then all is on disk. */
    JsonElement with(Use use) throws IOException {
        var properties = CryptoFileSystemProperties.cryptoFileSystemProperties()
                .withKeyLoader(id -> key())
                .withFlags(Set.of())
                .build();
        try (var files = CryptoFileSystemProvider.newFileSystem(vault, properties)) {
            return use.of(files.getPath("/"));
        }
    }

    private static MasterkeyFileAccess keyFiles() {
        return new MasterkeyFileAccess(new byte[0], new SecureRandom());
    }
}
